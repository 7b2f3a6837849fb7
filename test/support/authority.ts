/** A time-stamp authority of RFC 3161 for tests: openssl, with a certificate authority of its own. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import { hasOpenssl } from '../../scripts/programs.mjs'

const CONFIG = `
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[stamps]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[serves]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
[tsa]
serial = ./serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
`

/** A test that is skipped, and counted as that, where there is no openssl; where `CI` is set there must be one. */
export function withOpenssl(title: string, body: () => Promise<void>): void {
  if (hasOpenssl()) test(title, body)
  else if (process.env.CI) throw new Error('CI is set, and there is no openssl')
  else test.skip(title)
}

export class Authority {
  readonly #folder: string
  #isMade = false

  /** Nothing is made before it is used. */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** What whoever trusts it is given. */
  get certificate(): string {
    this.#make()
    return readFileSync(this.#path('ca.pem'), 'utf8')
  }

  /** The response to a request that it is sent. */
  stamp(request: Uint8Array): Uint8Array {
    this.#make()
    writeFileSync(this.#path('query'), request)
    this.#run(
      'ts -reply -config conf -section tsa -queryfile query -signer clock.pem -inkey clock.key -out reply'
    )
    return readFileSync(this.#path('reply'))
  }

  /** A response over a file of these bytes, asked for with openssl's own tool. */
  stampFile(bytes: Uint8Array): Uint8Array {
    writeFileSync(this.#path('file'), bytes)
    this.#run('ts -query -data file -sha256 -cert -out query')
    return this.stamp(readFileSync(this.#path('query')))
  }

  /** The token without the response around it. */
  tokenOf(response: Uint8Array): Uint8Array {
    writeFileSync(this.#path('reply'), response)
    this.#run('ts -reply -config conf -section tsa -in reply -token_out -out token')
    return readFileSync(this.#path('token'))
  }

  /** What stands in a response, signed anew by a certificate of the same root that is for servers. */
  signedByServer(response: Uint8Array): Uint8Array {
    writeFileSync(this.#path('token'), this.tokenOf(response))
    this.#run('cms -verify -noverify -inform DER -in token -binary -out info')
    this.#run(
      'cms -sign -binary -nodetach -econtent_type 1.2.840.113549.1.9.16.1.4 -in info -signer server.pem -inkey server.key -outform DER -out signed'
    )
    return readFileSync(this.#path('signed'))
  }

  #make(): void {
    if (this.#isMade) return
    this.#isMade = true
    writeFileSync(this.#path('conf'), CONFIG)
    writeFileSync(this.#path('serial'), '01\n')
    const key = 'req -newkey rsa:2048 -nodes -config conf'
    this.#run(`${key} -x509 -keyout ca.key -out ca.pem -days 99 -extensions ca`, '/CN=Root')
    this.#run(`${key} -keyout clock.key -out csr`, '/CN=Clock')
    const sign = 'x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 99'
    this.#run(`${sign} -out clock.pem -extfile conf -extensions stamps`)
    // Before anything is stamped: a certificate that is younger than the stamp is refused for that.
    this.#run(`${key} -keyout server.key -out csr`, '/CN=Server')
    this.#run(`${sign} -out server.pem -extfile conf -extensions serves`)
  }

  #path(name: string): string {
    return join(this.#folder, name)
  }

  #run(command: string, subject?: string): void {
    const args = [...command.split(' '), ...(subject === undefined ? [] : ['-subj', subject])]
    execFileSync('openssl', args, { cwd: this.#folder, stdio: 'pipe' })
  }
}
