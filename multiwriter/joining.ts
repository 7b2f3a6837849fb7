/** Coming into a space by an invite. Nothing is written before somebody has let in. */
import b4a from 'b4a'
import { ownLogKey, randomBytes, type DeviceStore } from '../core/index.ts'
import { ManyhandsError, type ErrorCode } from '../errors.ts'
import { askUntilLetIn, type AskingParts } from './asking.ts'
import { inviteKeyPair, meetingOf, meetingTopic, type InviteLink } from './invite-link.ts'
import { ownCredentials } from './members/credentials.ts'
import { encodeInviteRequest, openAdmission, type Denial } from './members/invite-message.ts'
import type { Entrance } from './ticket.ts'

export interface JoiningParts extends AskingParts {
  readonly store: Pick<DeviceStore, 'keyPair' | 'secrets'>
}

export interface Joined {
  readonly entrance: Entrance
  /** Of the logs that were let in. */
  readonly salt: Uint8Array
}

const CODES: Readonly<Record<Denial, readonly [ErrorCode, string]>> = {
  unknown: ['INVITE_UNANSWERED', 'Nobody who was there knew of this invite'],
  expired: ['INVITE_EXPIRED', 'This invite has expired'],
  used: ['INVITE_USED', 'This invite was used up'],
  revoked: ['INVITE_REVOKED', 'This invite lets in nobody any more'],
  removed: ['INVITE_REMOVED', 'This device was removed from the space']
}

const NOBODY: readonly [ErrorCode, string] = [
  'INVITE_UNANSWERED',
  'Nobody who may let in answered in time'
]

/** Asks until it is let in. @throws INVITE_ codes */
export function askToJoin(parts: JoiningParts, link: InviteLink): Promise<Joined> {
  const salt = randomBytes(32)
  return askUntilLetIn(parts, {
    topic: meetingTopic(link.meeting),
    bytes: requestFor(parts.store, link, salt),
    open: (sealed) => {
      // Only who is in has the key that the link was made for.
      const entrance = openAdmission(parts.store.keyPair, sealed)
      const isRight =
        entrance !== null && b4a.equals(meetingOf(entrance.membershipKey), link.meeting)
      return isRight ? { entrance, salt } : null
    },
    errorOf: (denial) => new ManyhandsError(...(denial === null ? NOBODY : CODES[denial]))
  })
}

function requestFor(
  store: JoiningParts['store'],
  { address, secret }: InviteLink,
  salt: Uint8Array
): Uint8Array {
  const { seed } = store.secrets
  const pair = { salt, acl: ownLogKey(seed, 'acl', salt), data: ownLogKey(seed, 'data', salt) }
  const credentials = ownCredentials(store, address, [pair])
  return encodeInviteRequest(inviteKeyPair(secret), address, credentials)
}
