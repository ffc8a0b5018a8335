import type { Home } from './home.ts'
import type { Instance } from './instance.ts'

export type ServiceName = 'postgres' | 'redis' | 'queue-redis' | 'rabbitmq'

/** Starts the named services in an instance and returns the URL of each. */
export type Starter = (options: {
  instance: Instance
  home: Home
  names: ServiceName[]
  env: NodeJS.ProcessEnv
  log: (line: string) => void
}) => Promise<Map<ServiceName, string>>
