import { runProcess } from '../src/platform/lifecycle.ts'
import { compose } from './compose.ts'

await runProcess('workers', compose)
