/**
 * `npm run api`: writes what is made from the contract: the OpenAPI document, the client's types, the list of routes.
 * With `--check` nothing is written; the exit code says whether the files are those of the contract.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openApiDocument } from '../../src/http/contract/openapi.ts'
import { apiPage } from './page.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const GENERATED = 'Generated from src/http/contract by `npm run api`: change the contract, not this file.'

async function generated(): Promise<Record<string, string>> {
  await import('../lib/typescript-5.ts')
  const { default: toTypes, astToString } = await import('openapi-typescript')
  const document = openApiDocument()
  const types = astToString(await toTypes(structuredClone(document) as never))
  return {
    'openapi.json': `${JSON.stringify(document, null, 2)}\n`,
    'client/schema.d.ts': `/** ${GENERATED} */\n\n${types}`,
    'docs/api.md': `<!-- ${GENERATED} -->\n\n${apiPage()}`,
  }
}

function present(file: string): string | undefined {
  try {
    return readFileSync(join(ROOT, file), 'utf8')
  } catch {
    return undefined
  }
}

const check = process.argv.includes('--check')
const stale = Object.entries(await generated()).filter(([file, text]) => present(file) !== text)
for (const [file, text] of stale) {
  process.stdout.write(
    check ? `${file} is not what the contract says: run \`npm run api\`\n` : `${file} written\n`,
  )
  if (check) continue
  mkdirSync(dirname(join(ROOT, file)), { recursive: true })
  writeFileSync(join(ROOT, file), text)
}
if (!check && stale.length === 0) process.stdout.write('all files are up to date\n')
process.exitCode = check && stale.length > 0 ? 1 : 0
