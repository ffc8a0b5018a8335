/** `node tools/bootstrap.mjs tools/with-services.ts -- <command>`: runs a command with services provided. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { runCommand } from './lib/command.ts'
import { provideEnvironment } from './lib/set-up.ts'

await runCommand(async (cleanup, signal) => {
  const [command, ...args] = process.argv.slice(2).filter((arg) => arg !== '--')
  if (command === undefined) throw new Error('name the command to run')
  const { env, services } = await provideEnvironment(() => undefined, signal)
  cleanup.add(() => services.stop())
  const child = spawn(command, args, { env, stdio: 'inherit' })
  cleanup.add(() => child.kill('SIGTERM'))
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
})
