import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { aptRunner, systemHasLists, updateLists, writeConfig, type Apt } from './apt.ts'
import { onPath, UNPACKED_BROWSER, type Software } from './binaries.ts'
import { ServiceDied } from './errors.ts'
import type { Home } from './home.ts'
import type { Instance } from './instance.ts'

/** The package of each software, as Debian and Ubuntu call it. */
const PACKAGES: Record<Software, string> = {
  postgres: 'postgresql',
  redis: 'redis-server',
  rabbitmq: 'rabbitmq-server',
  chromium: 'chromium',
  pgbouncer: 'pgbouncer',
  haproxy: 'haproxy',
}

// The C library always is the system's: it must fit the system's loader.
const SYSTEM = [
  'libc6|libc-bin|libc-l10n|locales|tzdata|adduser|debconf|ucf|sensible-utils|lsb-base|netbase|sysvinit-utils',
  'init-system-helpers|perl.*|libperl.*|libgdbm.*|logrotate|cron.*|procps|libproc2.*|media-types|(lib)?python3.*',
]
// Dependencies of the packages' own scripts, of tools beside the servers and of PostgreSQL's compiler for queries
// (which we switch off); and what a browser without a screen needs not: a desktop, and drivers of graphics cards.
const NOT_NEEDED: Record<'server' | 'browser', RegExp> = {
  server: anyOf(
    ...SYSTEM,
    'libjson-perl|postgresql(-client.*|-common.*)?|libllvm.*|libz3.*|ssl-cert|openssl|libpopt0|socat|libwrap0',
    'libsqlite3-0|libtirpc.*|libnsl2|readline-common|libreadline8.*',
  ),
  browser: anyOf(
    ...SYSTEM,
    'libllvm.*|libz3.*|libgl1-mesa-dri|libsensors.*|adwaita-icon-theme|hicolor-icon-theme|gtk-update-icon-cache',
    'systemd.*|dbus|dbus-(bin|daemon|user-session|(system|session)-bus-common)|dconf.*|x11-.*|xdg-utils|dpkg|tar',
    'passwd|mount|dmsetup|usrmerge|libpam.*|shared-mime-info|.*-perl|libnss-systemd',
  ),
}

function anyOf(...names: string[]): RegExp {
  return new RegExp(`^(${names.join('|')})$`)
}

/** Where the fetched packages of one software are kept: by release, since they only fit the one they come from. */
export function packageFolder(home: Home, software: Software): string {
  return join(home.path, 'packages', `${release()}-${process.arch}`, software)
}

/** True when packages can be fetched without root: the machine has apt's tools. */
export function canFetch(env: NodeJS.ProcessEnv): boolean {
  return ['apt-get', 'dpkg-deb'].every((tool) => onPath(tool, env['PATH']) !== undefined)
}

/**
 * Makes the function that fetches packages and unpacks them into the cache, with no root and no change to the
 * system. The package lists of the machine are used first; when there are none, or they name versions that are no
 * longer served, fresh ones are fetched into the instance folder, once for all.
 */
export function packageFetcher(
  instance: Instance,
  home: Home,
  env: NodeJS.ProcessEnv,
  log: (line: string) => void,
): (software: Software) => Promise<void> {
  const apt = aptRunner(instance, env)
  const systemConfig = writeConfig(instance, undefined)
  let fresh: Promise<string> | undefined
  const freshConfig = (): Promise<string> => (fresh ??= updateLists(apt, instance, log))
  return async (software) => {
    if (!systemHasLists()) return fetch({ apt, instance, home, software, log, config: await freshConfig() })
    try {
      await fetch({ apt, instance, home, software, log, config: systemConfig })
    } catch (error) {
      if (!(error instanceof ServiceDied)) throw error
      log(`${software}: the machine's package lists did not help, fetching fresh ones`)
      await fetch({ apt, instance, home, software, log, config: await freshConfig() })
    }
  }
}

interface Fetch {
  apt: Apt
  instance: Instance
  home: Home
  software: Software
  config: string
  log: (line: string) => void
}

async function fetch({ apt, instance, home, software, config, log }: Fetch): Promise<void> {
  const began = Date.now()
  const work = instance.scratch(`fetch-${software}`)
  const [debs, root] = [join(work, 'debs'), join(work, 'root')]
  mkdirSync(debs)
  mkdirSync(root)
  chmodSync(root, 0o755)
  const packages = await resolve(apt, config, software, work)
  const megabytes = (packages.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6).toFixed(1)
  log(`${software}: downloading ${packages.length} packages, ${megabytes} MB`)
  const names = packages.map(({ name, version }) => `${name}=${version}`)
  await apt.run('apt-get', ['-c', config, 'download', ...names], debs, `${software}-download`)
  const unpack = 'for deb in *.deb; do dpkg-deb -x "$deb" "$0" || exit 1; done'
  await apt.run('sh', ['-c', unpack, root], debs, `${software}-unpack`)
  relocateErlang(root)
  relocateChromium(root)
  publish(root, packageFolder(home, software))
  log(`${software}: downloaded and unpacked in ${((Date.now() - began) / 1000).toFixed(1)} s`)
}

/** What installing would fetch, less what a program of our own can do without. */
async function resolve(
  apt: Apt,
  config: string,
  software: Software,
  cwd: string,
): Promise<{ name: string; version: string; bytes: number }[]> {
  const args = ['-c', config, 'install', '--print-uris', '-y', PACKAGES[software]]
  const output = await apt.run('apt-get', args, cwd, `${software}-resolve`)
  const found = [...output.matchAll(/^'[^']+' ([^_\s]+)_([^_\s]+)_\S+ (\d+)/gm)]
  return found
    .map(([, name = '', version = '', bytes]) => ({
      name,
      version: decodeURIComponent(version),
      bytes: Number(bytes),
    }))
    .filter(({ name }) => !NOT_NEEDED[software === 'chromium' ? 'browser' : 'server'].test(name))
}

/** The rename is atomic: an interrupted download leaves no half cache, and of two launchers the first one wins. */
function publish(root: string, target: string): void {
  const parents = [dirname(dirname(target)), dirname(target)]
  for (const folder of parents) {
    mkdirSync(folder, { recursive: true })
    // Whatever the umask: the user that runs the services must get through.
    chmodSync(folder, 0o755)
  }
  try {
    renameSync(root, target)
  } catch (error) {
    if (!existsSync(target)) throw error
  }
}

/** Debian's erl has its folder built in; this one finds it from where it lies. */
function relocateErlang(root: string): void {
  const launcher = join(root, 'usr/lib/erlang/bin/erl')
  if (!existsSync(launcher)) return
  const lines = [
    '#!/bin/sh',
    'ROOTDIR=$(cd "$(dirname "$0")/.." && pwd)',
    'BINDIR=$(echo "$ROOTDIR"/erts-*/bin)',
    'EMU=beam',
    'PROGNAME=erl',
    'export ROOTDIR BINDIR EMU PROGNAME',
    'exec "$BINDIR/erlexec" "$@"',
  ]
  writeFileSync(launcher, lines.join('\n') + '\n')
}

/** Debian's chromium looks for libraries and fonts in the system only; started by this, it finds those beside it. */
function relocateChromium(root: string): void {
  if (!existsSync(join(root, 'usr/lib/chromium/chromium'))) return
  const launcher = [
    '#!/bin/sh',
    'ROOT=$(cd "$(dirname "$0")" && pwd)',
    'LIBRARIES=$(echo "$ROOT"/usr/lib/*-linux-* "$ROOT"/usr/lib/*-linux-*/pulseaudio "$ROOT"/lib/*-linux-*)',
    'export LD_LIBRARY_PATH="$(echo "$LIBRARIES" | tr " " ":")"',
    'export FONTCONFIG_FILE="$ROOT/fonts.conf"',
    'exec "$ROOT/usr/lib/chromium/chromium" "$@"',
  ]
  const fonts = [
    '<?xml version="1.0"?>',
    '<!DOCTYPE fontconfig SYSTEM "fonts.dtd">',
    '<fontconfig>',
    '  <dir>/usr/share/fonts</dir>',
    '  <dir prefix="relative">usr/share/fonts</dir>',
    '  <cachedir prefix="xdg">fontconfig</cachedir>',
    '</fontconfig>',
  ]
  writeFileSync(join(root, UNPACKED_BROWSER), launcher.join('\n') + '\n', { mode: 0o755 })
  writeFileSync(join(root, 'fonts.conf'), fonts.join('\n') + '\n')
}

function release(): string {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
  const value = (key: string): string =>
    new RegExp(`^${key}="?([\\w.-]+)"?$`, 'm').exec(text)?.[1] ?? 'unknown'
  return `${value('ID')}-${value('VERSION_ID')}`
}
