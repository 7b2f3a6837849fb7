/**
 * An application on automerge-repo, on two devices without a server (`npm run example -- automerge-repo`): each edits a shopping list
 * offline, they meet, and a third device reads it from what the space brought, while the repos that wrote it are gone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Repo, type AutomergeUrl, type DocHandle } from '@automerge/automerge-repo'
import { SpaceNetworkAdapter, SpaceStorageAdapter } from '../../adapters/automerge-repo/index.ts'
import type { Space } from '../../index.ts'
import { heading, line } from '../shared/print.ts'
import { tell, type TwoDevices } from '../shared/two-devices.ts'

interface ShoppingList {
  readonly items: string[]
}

const PATIENCE_MS = 20_000

await tell('automerge-repo on two devices, no server', async (two) => {
  const { laptop, phone } = { laptop: repoOn(two.laptop), phone: repoOn(two.phone) }
  const list = await shareList(two, laptop, phone)
  await editOffline(two, list)
  await Promise.all([laptop.shutdown(), phone.shutdown()])
  await two.meet()
  await readElsewhere(two, list.onLaptop.url)
})

/** All that has to do with manyhands. */
function repoOn(space: Space): Repo {
  return new Repo({
    storage: new SpaceStorageAdapter(space),
    network: [new SpaceNetworkAdapter(space)]
  })
}

interface Lists {
  readonly onLaptop: DocHandle<ShoppingList>
  readonly onPhone: DocHandle<ShoppingList>
}

async function shareList(two: TwoDevices, laptop: Repo, phone: Repo): Promise<Lists> {
  heading('1. The laptop makes a list, the phone finds it')
  await two.meet()
  const onLaptop = laptop.create<ShoppingList>({ items: ['milk'] })
  await until(() => phone.peers.length > 0)
  const onPhone = await phone.find<ShoppingList>(onLaptop.url)
  show('Phone', onPhone)
  return { onLaptop, onPhone }
}

async function editOffline(two: TwoDevices, { onLaptop, onPhone }: Lists): Promise<void> {
  heading('2. Offline: both add to it')
  two.part()
  onLaptop.change(({ items }) => void items.push('bread'))
  onPhone.change(({ items }) => void items.push('apples'))
  show('Laptop', onLaptop)
  show('Phone', onPhone)
  heading('3. They meet')
  const bothHaveAll = () => [onLaptop, onPhone].every((list) => list.doc().items.length === 3)
  await two.meet()
  await until(bothHaveAll)
  if (textOf(onLaptop) !== textOf(onPhone)) throw new Error('The lists differ.')
  show('Both', onLaptop)
}

async function readElsewhere(two: TwoDevices, url: AutomergeUrl): Promise<void> {
  heading('4. Both repos are gone; a tablet that has the space reads the list')
  const tablet = await two.join('Tablet')
  await until(() => {
    const others = tablet.syncState().logs.filter(({ isOwn }) => !isOwn)
    return others.length === 2 && others.every(({ here, known }) => here > 0 && here === known)
  })
  const repo = repoOn(tablet)
  show('Tablet', await repo.find<ShoppingList>(url))
  await repo.shutdown()
}

function show(who: string, list: DocHandle<ShoppingList>): void {
  line(`${who.padEnd(7)} ${textOf(list)}`)
}

function textOf(list: DocHandle<ShoppingList>): string {
  return list.doc().items.join(', ')
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('The devices did not meet.')
    await sleep(5)
  }
}
