/** The login form; no script, works in dark and light. @param problem one of our own texts, never input */
export function loginPage(problem: string | undefined): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Flash sale dashboard</title>
<link rel="icon" href="/assets/icon.svg">
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { display: grid; place-items: center; min-height: 100vh; margin: 0; }
  form { display: grid; gap: .75rem; width: min(20rem, 90vw); }
  input, button { font: inherit; padding: .5rem; }
  label { display: grid; gap: .25rem; }
  [role=alert] { color: light-dark(#a00, #f88); margin: 0; }
</style>
</head>
<body>
<form method="post" action="/login">
  <h1>Flash sale dashboard</h1>
  ${problem === undefined ? '' : `<p role="alert">${problem}</p>`}
  <label>E-mail <input name="email" type="email" autocomplete="username" required autofocus></label>
  <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
  <button>Log in</button>
</form>
</body>
</html>`
}
