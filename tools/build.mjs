// Compiles the TypeScript sources to dist/ and puts the Lua scripts and the browser's files beside the compiled modules.
import { spawnSync } from 'node:child_process'
import { cpSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const compiled = spawnSync(
  process.execPath,
  ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'],
  {
    cwd: root,
    stdio: 'inherit',
  },
)
if (compiled.status !== 0) process.exit(compiled.status ?? 1)
for (const folder of [
  'src/reserve/lua',
  'src/platform/redis/lua',
  'src/platform/idempotency/lua',
  'dashboard/assets',
])
  cpSync(`${root}${folder}`, `${root}dist/${folder}`, { recursive: true })
