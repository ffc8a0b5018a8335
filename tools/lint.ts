/** `npm run lint`: formatter, linter, types, import cycles and directions. */
import { checkSources } from './lib/checks.ts'

process.exit((await checkSources()) ? 0 : 1)
