/** What the queues know of buyers is for the look-up; the board shows jobs, and those need no names. */

const EMAIL = /([\w.+-])[\w.+-]*@([\w-]+(?:\.[\w-]+)+)/g
const USER_ID = /("user_id"\s*:\s*"[0-9a-f]{8})[0-9a-f-]*"/gi

/** The data of a job with the ids of users cut and e-mails masked, however deep or as text of a message. */
export function maskBuyers(data: unknown): unknown {
  if (data === undefined) return undefined
  const masked = maskText(JSON.stringify(data))
  // A message that is kept as text has its quotes escaped.
  return JSON.parse(
    masked.replaceAll(/\\"user_id\\"\s*:\s*\\"([0-9a-f]{8})[0-9a-f-]*\\"/gi, '\\"user_id\\":\\"$1…\\"'),
  )
}

function maskText(text: string): string {
  return text.replaceAll(EMAIL, '$1…@$2').replaceAll(USER_ID, '$1…"')
}
