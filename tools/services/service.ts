import type { Home } from './home.ts'
import type { Instance } from './instance.ts'
import type { ProcessSpec } from './keeper.ts'

export type ServiceName = 'postgres' | 'redis' | 'queue-redis' | 'rabbitmq'

/** One private service: it keeps its port, its password and its data when it is started again. */
export interface RunningService {
  url: string
  /** Where its data lie. */
  folder: string
  /** What its leading process was started with. */
  spec: ProcessSpec
  /** Of its leading process; undefined when that has ended. */
  pid(): number | undefined
  /** Resolves when its leading process has ended. */
  ended(): Promise<void>
  /** Starts it again once it has ended, and waits until it is ready. */
  restart(): Promise<void>
}

export interface StartOptions {
  instance: Instance
  home: Home
  names: ServiceName[]
  env: NodeJS.ProcessEnv
  log: (line: string) => void
}

/** Starts the named services in an instance and returns the URL of each. */
export type Starter = (options: StartOptions) => Promise<Map<ServiceName, string>>
