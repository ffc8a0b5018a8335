/** Bugs that can be planted in the model, each in one place; the simulation has to find every one of them. */
export const MUTANTS = {
  'drop-dedupe-in-inbox': 'a message that comes again opens its reservation again',
  'second-verdict': 'a decided reservation is decided again',
  'second-live-claim': 'nothing keeps a buyer from having two live claims',
  'restock-on-publish-timeout': 'a publish that was not confirmed gives the unit back at once',
  'decrement-first': 'the stock is lowered before holder, record and log entry are written',
  'blind-set-on-rebuild': 'a rebuild sets the stock to what PostgreSQL has, without what is in flight',
  'rebuild-forgets-in-flight': 'a rebuild drops what survived in Redis',
  'rebuild-with-gate-open': 'a rebuild does not close the gate',
  'swap-without-staged-state': 'a rebuild swaps in a state that Redis has lost meanwhile',
  'ack-before-inbox': 'the bridge acks before the reservation is in PostgreSQL',
  'release-without-state-check': 'a release raises the stock each time it comes',
  'release-of-unknown-rid-raises-stock': 'a release of a rid that Redis does not know raises the stock',
  'release-before-void-commits': 'the unit of a void goes back before the void is committed',
  'outbox-skipped-on-close': 'a closed order leaves no release in the outbox',
  'adopt-without-decrement': 'an order that Redis did not know is taken over without lowering the stock',
  'confirm-revives-released': 'a late word on an order makes a released unit confirmed again',
  'holder-freed-for-another-rid': 'a release frees its buyer, whatever the buyer holds by now',
  'close-ignores-status': 'an order is closed at its deadline although it is paid',
  'pay-closed-order': 'money for a closed order makes it paid without its units',
  'refund-forgotten': 'late money that buys nothing opens no refund',
  'late-money-takes-held-unit': 'late money takes a unit that a reservation in flight holds',
  'log-entry-deleted-on-confirm': 'a log entry ends when the broker confirms, not with the verdict',
  'relay-gives-up': 'the outbox relay marks rows that the broker has not confirmed',
  'adjustment-applied-twice': 'a row of the stock ledger is applied each time it comes',
  'units-returned-while-open': 'units of an ended event are returned before its gate has ended',
  'expire-redis-first': 'a stuck hold is released before it is void in PostgreSQL',
  'expire-ignores-queues': 'a hold expires by its age alone, while its message waits in the broker',
  'reconcile-releases-undecided': 'the reconciler releases what has no verdict',
} as const

export type Mutant = keyof typeof MUTANTS
export const MUTANT_NAMES = Object.keys(MUTANTS) as Mutant[]
