import { compose } from './compose.ts'
import { runProcess } from './platform/lifecycle.ts'

await runProcess('api', compose)
