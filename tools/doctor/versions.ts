import { finding, type Finding } from './finding.ts'

/** The oldest versions that the tests have run on. */
const OLDEST = { PostgreSQL: '15', Redis: '7.0', RabbitMQ: '3.10' } as const

/** Holds a server's version against the oldest supported one. @param version as the server tells it */
export function checkVersion(what: string, server: keyof typeof OLDEST, version: string): Finding {
  const oldest = OLDEST[server]
  return finding(
    what,
    isAtLeast(version, oldest),
    `${server} ${version} (${oldest} or newer)`,
    `install ${server} ${oldest} or newer: docker-compose.yml has one, started by docker compose up -d`,
  )
}

/** Compares the leading numbers: 15.18 is at least 15, 3.9 is not at least 3.10. */
export function isAtLeast(version: string, oldest: string): boolean {
  const have = version.split('.').map((part) => Number.parseInt(part, 10))
  const need = oldest.split('.').map(Number)
  for (const [i, least] of need.entries()) {
    const number = have[i] ?? 0
    if (Number.isNaN(number) || number < least) return false
    if (number > least) return true
  }
  return true
}
