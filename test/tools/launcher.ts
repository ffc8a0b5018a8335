// A launcher for the tests to kill: it starts one private Redis, says where, and waits.
import { provideServices } from '../../tools/services/index.ts'

const { urls } = await provideServices({ env: process.env, log: () => {} })
process.stdout.write(`${urls.REDIS_URL}\n`)
setInterval(() => {}, 1000)
