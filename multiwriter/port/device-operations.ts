/** The part of the table of operations (operations.ts) that is about the device itself, and the person whose it is. */
import { ManyhandsError } from '../../errors.ts'
import type { Device } from '../device.ts'
import type { AskingByLink, DeviceInvite, JoinedDevice } from '../identity/device-invite.ts'
import type { Certified } from '../identity/identity.ts'
import type {
  DeviceInviteOptions,
  EnteredSpace,
  RecoverAllOptions,
  SpaceOutcome
} from '../identity/own-devices.ts'
import type { SplitOptions } from '../identity/shares.ts'
import { spaceInfo, type PortContext, type SpaceInfo, type Where } from './context.ts'
import { inTurn, late } from './iterators.ts'

export interface DeviceInfo {
  readonly id: string
  readonly name: string
  /** Why this device can only read, or null. */
  readonly rolledBack: string | null
}

export interface IdentityInfo {
  readonly id: string
  readonly hasPhrase: boolean
}

/** A link was made; later, a device has come by it and shows a code; then it was confirmed. */
export type InvitingStep =
  | { readonly link: string; readonly expires: number }
  | (JoinedDevice & { readonly code: string })
  | JoinedDevice

/** The other device was found, and shows this code; later, it has confirmed this one. */
export type JoiningStep = { readonly code: string } | { readonly spaces: readonly EnteredSpace[] }

/** @see SpaceOutcome */
export interface PlainOutcome {
  readonly address: string
  readonly name: string
  readonly outcome: string | null
  readonly problem: { readonly code: string; readonly message: string } | null
}

/** A phrase, or shares of one. */
type Secret = string | readonly string[]

export const deviceRequests = {
  'device/info': ({ device }: PortContext, _: object): Promise<DeviceInfo> =>
    Promise.resolve({ id: device.id, name: device.name, rolledBack: device.rolledBack }),

  'device/rotate': async ({ device }: PortContext, { space }: Where): Promise<SpaceInfo> =>
    spaceInfo(await device.rotate(space)),

  /** Comes back to a space, as one whose other devices are lost. */
  'device/recover': async (
    { device }: PortContext,
    { space, keep = [] }: Where & { readonly keep?: readonly string[] }
  ): Promise<SpaceInfo> => spaceInfo(await device.recover(space, { keep })),

  /** The same in all spaces. */
  'device/recoverSpaces': async (
    { device }: PortContext,
    options: Pick<RecoverAllOptions, 'keep' | 'timeout'>
  ): Promise<readonly PlainOutcome[]> => (await device.recoverSpaces(options)).map(plainOutcome),

  'device/lock': ({ device }: PortContext, _: object): Promise<void> => device.lock(),

  'device/unlock': (
    { device }: PortContext,
    { passphrase }: { readonly passphrase: string }
  ): Promise<void> => device.unlock(passphrase),

  'device/passphrase': (
    { device }: PortContext,
    { from, to }: { readonly from: string | null; readonly to: string | null }
  ): Promise<void> => device.setPassphrase(from, to),

  'device/petname': (
    { device }: PortContext,
    { identity, name }: { readonly identity: string; readonly name: string | null }
  ): Promise<void> => device.setPetname(identity, name),

  'identity/info': ({ device: { identity } }: PortContext, _: object): Promise<IdentityInfo> =>
    Promise.resolve({ id: identity.id, hasPhrase: identity.hasPhrase }),

  'identity/phrase': async ({ device }: PortContext, _: object): Promise<string> =>
    Promise.resolve(device.identity.phrase()),

  'identity/forget': ({ device }: PortContext, _: object): Promise<void> =>
    device.identity.forgetPhrase(),

  'identity/split': ({ device }: PortContext, options: SplitOptions): Promise<readonly string[]> =>
    device.identity.split(options),

  'identity/kit': async (
    { device }: PortContext,
    { name, secret }: { readonly name: string; readonly secret: Secret }
  ): Promise<string> => Promise.resolve(device.identity.kit(name, secret)),

  'identity/verify': (
    { device }: PortContext,
    { secret }: { readonly secret: Secret }
  ): Promise<boolean> => device.identity.verify(secret),

  'identity/recover': (
    { device }: PortContext,
    { secret, spaces }: { readonly secret: Secret; readonly spaces: readonly string[] }
  ): Promise<void> => device.identity.recover(secret, { spaces }),

  'identity/spaceLists': async ({ device }: PortContext, _: object): Promise<readonly string[]> =>
    Promise.resolve(device.identity.spaceLists()),

  /** What to do with a device that came by a link. */
  'identity/decide': async (
    { device: own }: PortContext,
    { device, isConfirmed }: { readonly device: string; readonly isConfirmed: boolean }
  ): Promise<void> => {
    const asking = own.identity.asking().find((each) => each.device === device)
    if (asking === undefined)
      throw new ManyhandsError('DEVICE_LINK_EXPIRED', 'No such device is waiting')
    if (isConfirmed) asking.confirm()
    else asking.refuse()
    return Promise.resolve()
  },

  'identity/revoke': async (
    { device }: PortContext,
    { lost }: { readonly lost: string }
  ): Promise<readonly PlainOutcome[]> => (await device.identity.revoke(lost)).map(plainOutcome),

  'identity/request': async ({ device }: PortContext, _: object): Promise<string> =>
    Promise.resolve(device.identity.request()),

  'identity/certify': async (
    { device }: PortContext,
    { request }: { readonly request: string }
  ): Promise<Certified> => Promise.resolve(device.identity.certify(request)),

  'identity/accept': (
    { device }: PortContext,
    { answer }: { readonly answer: string }
  ): Promise<void> => device.identity.accept(answer)
}

export const deviceStreams = {
  /** A link for another device of this person; it ends when the stream is left. */
  'identity/invite': ({ device }: PortContext, options: DeviceInviteOptions) =>
    late(
      () => {
        const invite = device.identity.invite(options)
        return Promise.resolve(inTurn(invitingSteps(invite), () => invite.end()))
      },
      (step) => step
    ),

  /** Becomes a device of whoever made the link; leaving calls it off. */
  'identity/join': (
    { device }: PortContext,
    { link, timeout }: { readonly link: string; readonly timeout: number }
  ) =>
    late(
      () => Promise.resolve(joiningSteps(device, link, timeout)),
      (step) => step
    )
}

function invitingSteps({ link, expires, asking, joined }: DeviceInvite) {
  const asked = asking.then((asks) => asks && plainAsking(asks))
  const steps: Promise<InvitingStep | null>[] = [Promise.resolve({ link, expires }), asked, joined]
  return steps
}

function plainAsking({ device, name, code }: AskingByLink) {
  return { device, name, code }
}

function joiningSteps(device: Device, link: string, timeout: number): AsyncIterator<JoiningStep> {
  const calledOff = new AbortController()
  const { signal } = calledOff
  let oncode: (code: string) => void = () => {}
  const code = new Promise<string>((resolve) => (oncode = resolve))
  const spaces = device.identity.join(link, { timeout, signal, oncode })
  const steps: Promise<JoiningStep>[] = [
    Promise.race([code, spaces.then(() => '')]).then((found) => ({ code: found })),
    spaces.then((entered) => ({ spaces: entered }))
  ]
  for (const step of steps) step.catch(() => {}) // whoever asks for it is told
  return inTurn(steps, () => calledOff.abort(new Error('Called off')))
}

function plainOutcome({ error, ...rest }: SpaceOutcome<string>): PlainOutcome {
  return { ...rest, problem: error === null ? null : { code: error.code, message: error.message } }
}
