/** Addresses of clients and the networks that they are in. */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'

const MAPPED = '0:0:0:0:0:ffff'
const BITS = { 4: 32, 6: 128 } as const

/** True for a network in CIDR notation, such as `10.0.0.0/8` or `fd00::/8`. */
export function isNetwork(text: string): boolean {
  const [address = '', prefix = '', ...rest] = text.split('/')
  const family = isIP(address)
  return (
    (family === 4 || family === 6) &&
    rest.length === 0 &&
    /^\d{1,3}$/.test(prefix) &&
    Number(prefix) <= BITS[family]
  )
}

/** @param networks in CIDR notation @returns whether an address is in one of them */
export function networkTest(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    list.addSubnet(address, Number(prefix), isIPv6(address) ? 'ipv6' : 'ipv4')
  }
  return (address) => {
    const plain = unmap(address)
    const family = isIP(plain)
    return family !== 0 && list.check(plain, family === 6 ? 'ipv6' : 'ipv4')
  }
}

/** Whether a request may see what a process tells its own networks only. */
export type InternalTest = (request: IncomingMessage) => boolean

/**
 * Whether a request comes from one of our own networks without a proxy in between: behind a proxy, the socket says
 * where the proxy is, and headers say what anybody likes. Outside prod everybody is inside.
 */
export function internalTest(config: { env: string; internalNetworks: readonly string[] }): InternalTest {
  if (config.env !== 'prod') return () => true
  const isInside = networkTest(config.internalNetworks)
  return ({ socket, headers }) =>
    isInside(socket.remoteAddress ?? '') && !('x-forwarded-for' in headers) && !('forwarded' in headers)
}

/**
 * Whom requests from an address are counted against: an IPv4 address itself, the /64 of an IPv6 address, because
 * one customer of a provider is given that many.
 */
export function subscriberOf(address: string): string {
  const plain = unmap(address)
  return isIPv6(plain) ? `${groupsOf(plain).slice(0, 4).join(':')}::/64` : plain
}

/** A socket that takes both families tells IPv4 addresses as IPv6 ones. */
function unmap(address: string): string {
  if (!isIPv6(address)) return address
  const groups = groupsOf(address)
  if (groups.slice(0, 6).join(':') !== MAPPED) return address
  return groups
    .slice(6)
    .map((group) => Number.parseInt(group, 16))
    .map((group) => `${group >> 8}.${group & 0xff}`)
    .join('.')
}

/** The eight groups of an IPv6 address, without leading zeros. */
function groupsOf(address: string): string[] {
  const [withoutZone = ''] = address.split('%')
  const canonical = new URL(`http://[${withoutZone}]`).hostname.slice(1, -1)
  const [left = [], right = []] = canonical.split('::').map((half) => half.split(':').filter(Boolean))
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right]
}
