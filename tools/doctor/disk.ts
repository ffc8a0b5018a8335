import { statfs } from 'node:fs/promises'
import { finding, untold, type Finding } from './finding.ts'

const LEAST_BYTES = 1024 ** 3
const LEAST_SHARE = 0.05

/** Room left where a folder lies. */
export async function checkDisk(what: string, folder: string): Promise<Finding> {
  const { bavail, blocks, bsize } = await statfs(folder)
  return judgeDisk(what, folder, { free: bavail * bsize, size: blocks * bsize })
}

/** Little is too little in bytes and as a share: a small disk that is half empty is none too full. */
export function judgeDisk(
  what: string,
  folder: string,
  { free, size }: { free: number; size: number },
): Finding {
  const share = size === 0 ? 0 : free / size
  return finding(
    what,
    free >= LEAST_BYTES && share >= LEAST_SHARE,
    `${gigabytes(free)} of ${gigabytes(size)} free (${Math.round(share * 100)} %) at ${folder}`,
    `make room: sudo du -xh -d2 ${folder} | sort -h | tail shows what takes it`,
  )
}

/**
 * The disk of a server's data folder, when that folder is on this machine for certain.
 * @param isHere proves that the folder of this name here is the server's; a throw counts as no
 */
export async function checkServerDisk(
  what: string,
  folder: string,
  isHere: () => Promise<boolean>,
): Promise<Finding> {
  if (await isHere().catch(() => false)) return checkDisk(what, folder)
  return untold(what, `${folder} is on another machine, or this user may not look into it`)
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(1)} GiB`
}
