import type { VNode } from 'preact'
import type { PurchaseSummary } from '../../src/figures/purchase.ts'
import type { Store } from '../../src/figures/silent-stores.ts'
import { Notice } from '../page.tsx'
import { SILENT_WORDS, STANDING, standingText } from './words.ts'

interface ListProps {
  purchases: readonly PurchaseSummary[]
  hasMore: boolean
  silent: readonly Store[]
}

/** Several purchases of one e-mail or request, each with the way to its page. */
export function PurchaseList({ purchases, hasMore, silent }: ListProps): VNode {
  return (
    <>
      {silent.map((store) => (
        <Notice kind="bad" key={store}>
          {SILENT_WORDS[store]}
        </Notice>
      ))}
      <h2>{hasMore ? `The newest ${purchases.length} purchases` : `${purchases.length} purchases`}</h2>
      <div class="scroll">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Began</th>
              <th scope="col">Of</th>
              <th scope="col" class="number">
                Units
              </th>
              <th scope="col">Buyer</th>
              <th scope="col">Stands</th>
            </tr>
          </thead>
          <tbody>
            {purchases.map((purchase) => (
              <Row purchase={purchase} key={purchase.name.orderId ?? purchase.name.rid} />
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}

function Row({ purchase }: { purchase: PurchaseSummary }): VNode {
  const { name, beganAt, products, quantity, buyer, standing } = purchase
  return (
    <tr>
      <td>
        <a href={`/look-up?q=${name.orderId ?? name.rid}`}>
          <Time at={beganAt} />
        </a>
      </td>
      <td>{products ?? 'an event that does not exist'}</td>
      <td class="number">{quantity}</td>
      <td>{buyer.email ?? buyer.id}</td>
      <td>
        <span class={STANDING[standing.word].tone}>{standingText(standing)}</span>
      </td>
    </tr>
  )
}

/** A moment in UTC, to the millisecond. */
export function Time({ at }: { at: Date }): VNode {
  const iso = at.toISOString()
  return <time dateTime={iso}>{`${iso.slice(0, 10)} ${iso.slice(11, 23)}`}</time>
}
