/**
 * The steps of a purchase in the order in which it passes them.
 * A step's name is its folder, its job name, its contract file, its test folder and its log field `step`.
 */
export const STEPS = ['reserve', 'publish', 'bridge', 'create-order', 'close-order', 'release-stock'] as const

export type Step = (typeof STEPS)[number]
