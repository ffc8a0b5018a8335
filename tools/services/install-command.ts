import { onPath, type Software } from './binaries.ts'

const MANAGERS: { tool: string; install: string; packages: Record<Software, string> }[] = [
  {
    tool: 'apt-get',
    install: 'sudo apt-get install --no-install-recommends',
    packages: {
      postgres: 'postgresql',
      redis: 'redis-server',
      rabbitmq: 'rabbitmq-server',
      chromium: 'chromium',
      pgbouncer: 'pgbouncer',
      haproxy: 'haproxy',
    },
  },
  {
    tool: 'dnf',
    install: 'sudo dnf install',
    packages: {
      postgres: 'postgresql-server',
      redis: 'valkey',
      rabbitmq: 'rabbitmq-server',
      chromium: 'chromium',
      pgbouncer: 'pgbouncer',
      haproxy: 'haproxy',
    },
  },
  {
    tool: 'pacman',
    install: 'sudo pacman -S',
    packages: {
      postgres: 'postgresql',
      redis: 'valkey',
      rabbitmq: 'rabbitmq',
      chromium: 'chromium',
      pgbouncer: 'pgbouncer',
      haproxy: 'haproxy',
    },
  },
  {
    tool: 'apk',
    install: 'sudo apk add',
    packages: {
      postgres: 'postgresql',
      redis: 'redis',
      rabbitmq: 'rabbitmq-server',
      chromium: 'chromium',
      pgbouncer: 'pgbouncer',
      haproxy: 'haproxy',
    },
  },
  {
    tool: 'brew',
    install: 'brew install',
    packages: {
      postgres: 'postgresql@17',
      redis: 'redis',
      rabbitmq: 'rabbitmq',
      chromium: 'chromium',
      pgbouncer: 'pgbouncer',
      haproxy: 'haproxy',
    },
  },
]

/** The command that installs the software on this machine, in the words of its own package manager. */
export function installCommand(software: Software[], env: NodeJS.ProcessEnv): string {
  const manager = MANAGERS.find(({ tool }) => onPath(tool, env['PATH']) !== undefined) ?? MANAGERS[0]
  return [manager?.install, ...software.map((one) => manager?.packages[one])].join(' ')
}
