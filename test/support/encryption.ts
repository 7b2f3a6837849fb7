/** What the logs of a space are encrypted with, for who writes into it by hand: whoever holds the ticket knows it. */
import { constantKeys } from '../../core/index.ts'
import { spaceEncryption } from '../../multiwriter/space-logs.ts'
import { decodeTicket } from '../../multiwriter/ticket.ts'

export function encryptionOf({ ticket }: { readonly ticket: string }) {
  const { address, membershipKey, epoch } = decodeTicket(ticket)
  if (epoch === null) throw new TypeError('The ticket has no key of the content')
  return spaceEncryption(address, membershipKey, constantKeys(epoch))
}
