import { readFileSync } from 'node:fs'
import { checkDisk } from './disk.ts'
import { finding, type Finding } from './finding.ts'
import { isAtLeast } from './versions.ts'

/** Node's version and the room in the working folder. */
export async function checkMachine(): Promise<Finding[]> {
  return [checkNode(process.versions.node), await checkDisk('disk of this machine', process.cwd())]
}

function checkNode(version: string): Finding {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { engines } = JSON.parse(manifest) as { engines: { node: string } }
  const oldest = engines.node.replace('>=', '')
  return finding(
    'Node',
    isAtLeast(version, oldest),
    `${version} (${oldest} or newer)`,
    `nvm install ${oldest}`,
  )
}
