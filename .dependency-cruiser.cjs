// The import arrows of docs/architecture.md:
// platform <- contracts <- nouns, reserve, publish <- use cases <- http | workers | dashboard.
// Each rule says why; there are no exceptions by file.
const { createRequire } = require('node:module')

// Without TypeScript 5 it would find nothing in .ts files, and nothing wrong.
const ofCruiser = createRequire(`${__dirname}/node_modules/dependency-cruiser/package.json`)
if (!ofCruiser('typescript/package.json').version.startsWith('5.'))
  throw new Error('run it by `npm run lint`, which leads it to TypeScript 5 (tools/lib/typescript-5.ts)')

const NOUNS = 'audit|users|products|spike-events|orders|payments'
const USE_CASES =
  '^src/(buy|track|watch|sale|pay|expire|clear|reconcile|rebuild|conservation|report|snapshot|look-up)[.]ts$|^src/(figures|dead-letters)/'

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'Files of a cycle can only be understood, tested and loaded together.',
      from: {},
      to: { circular: true },
    },
    {
      name: 'platform-knows-no-business',
      severity: 'error',
      comment: 'platform is what any service would need; it must not know a word of this one.',
      from: { path: '^src/platform/' },
      to: { path: '^(src/(?!platform/)|workers/|dashboard/|tools/|test/)' },
    },
    {
      name: 'contracts-stand-on-platform',
      severity: 'error',
      comment: 'A contract is shared by both ends; what it imports, both ends get.',
      from: { path: '^src/contracts/' },
      to: { path: '^(src/(?!contracts/|platform/)|workers/|dashboard/|tools/|test/)' },
    },
    {
      name: 'nouns-and-steps-know-no-use-case',
      severity: 'error',
      comment: 'Use cases join nouns and steps, not the other way round.',
      from: { path: `^src/(${NOUNS}|reserve|publish)/` },
      to: { path: `${USE_CASES}|^src/(http/|compose|main)|^(workers|dashboard|tools|test)/` },
    },
    {
      name: 'siblings-stay-apart',
      severity: 'error',
      comment:
        'A noun may read audit and products; spike-events and orders need nothing of each other in code.',
      from: { path: `^src/(${NOUNS}|reserve|publish)/` },
      to: {
        path: `^src/(${NOUNS}|reserve|publish)/`,
        pathNot: ['^src/$1/', '^src/audit/', '^src/products/'],
      },
    },
    {
      name: 'use-cases-know-no-edge',
      severity: 'error',
      comment: 'The same use case serves HTTP, workers and tests.',
      from: { path: USE_CASES },
      to: { path: '^src/(http/|compose|main)|^(workers|dashboard|tools|test)/' },
    },
    {
      name: 'http-is-one-edge',
      severity: 'error',
      comment: 'http makes no clients and knows no other process.',
      from: { path: '^src/http/' },
      to: { path: '^src/(compose|main)[.]ts$|^(workers|dashboard|tools|test)/' },
    },
    {
      name: 'processes-stay-apart',
      severity: 'error',
      comment: 'API, workers and dashboard are deployed and restarted on their own.',
      from: { path: '^(src/|workers/|dashboard/)' },
      to: { path: '^(workers|dashboard)/', pathNot: '^$1' },
    },
    {
      name: 'workers-and-dashboard-use-no-http-edge',
      severity: 'error',
      comment: 'What they share with the API lies below it.',
      from: { path: '^(workers|dashboard)/' },
      to: { path: '^src/(http/|compose|main)' },
    },
    {
      name: 'product-knows-no-tools',
      severity: 'error',
      comment: 'tools and test are not shipped.',
      from: { path: '^(src|workers|dashboard|migrations|seeds)/' },
      to: { path: '^(tools|test|bench)/' },
    },
    {
      name: 'only-declared-packages',
      severity: 'error',
      comment:
        'A package that is not in package.json is there by chance; a dev package is not there in production.',
      from: { path: '^(src|workers|dashboard)/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      comment:
        'An import that points nowhere; browsers resolve the files of assets, and TypeScript checks them.',
      from: { pathNot: '^dashboard/assets/' },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|coverage|[.]data)/' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
    },
  },
}
