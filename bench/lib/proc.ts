/** What Linux tells of processes; nothing on other systems, and nothing of processes on other machines. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { nodeUrls } from '../../src/platform/node-urls.ts'

/** Clock ticks a second; the kernel's user interface has 100 on every machine that Node runs on. */
const TICKS = 100

export interface ProcessUse {
  rssMb: number
  /** Seconds of processor time since it began. */
  cpuS: number
}

/** @returns undefined for a process that is not there, or not to be seen */
export function useOf(pid: number): ProcessUse | undefined {
  const status = read(`/proc/${pid}/status`)
  const stat = read(`/proc/${pid}/stat`)
  const kb = /^VmRSS:\s+(\d+) kB/m.exec(status ?? '')?.[1]
  if (kb === undefined || stat === undefined) return undefined
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { rssMb: Number(kb) / 1_024, cpuS: (Number(fields[11]) + Number(fields[12])) / TICKS }
}

const DEFAULT_PORTS: Record<string, string> = { 'amqp:': '5672', 'redis:': '6379' }

/** The process of this machine that serves a URL, its first node, when it belongs to the same user. */
export function listenerOf(url: string): number | undefined {
  const [first = url] = nodeUrls(url)
  const { port, protocol } = new URL(first)
  const hex = Number(port || DEFAULT_PORTS[protocol])
    .toString(16)
    .toUpperCase()
    .padStart(4, '0')
  const inodes = ['/proc/net/tcp', '/proc/net/tcp6']
    .flatMap((file) => (read(file) ?? '').split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${hex}`) && fields[3] === '0A')
    .map((fields) => `socket:[${fields[9]}]`)
  const pids = list('/proc').filter((name) => /^\d+$/.test(name))
  const found = pids.find((pid) =>
    list(`/proc/${pid}/fd`).some((fd) => inodes.includes(linkOf(`/proc/${pid}/fd/${fd}`) ?? '')),
  )
  return found === undefined ? undefined : Number(found)
}

function read(file: string): string | undefined {
  return orNothing(() => readFileSync(file, 'utf8'))
}

function list(folder: string): string[] {
  return orNothing(() => readdirSync(folder)) ?? []
}

function linkOf(file: string): string | undefined {
  return orNothing(() => readlinkSync(file))
}

/** Processes end while one looks at them. */
function orNothing<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
