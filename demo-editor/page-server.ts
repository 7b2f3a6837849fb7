/**
 * Serves one page on 127.0.0.1 to the person who sits here, and to nobody else.
 *
 * Other pages in the same browser can reach this port as well. So: the Host must be ours (against a name that was made to point
 * at 127.0.0.1), a WebSocket must come from our own page (Origin), and it must bring the token that was printed at the start. The
 * files that are served hold no secret. A foreign page learns nothing (403); a page of ours with an old token is told so, by a
 * close code, because it cannot see the status of a refused upgrade.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import http from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'
import { CLOSE, MAX_MESSAGE_BYTES } from './protocol.ts'

/** Path to file, with the type that its ending says. */
export type Files = Readonly<Record<string, string>>

export interface PageServerOptions {
  readonly files: Files
  readonly token: string
  /** 0 takes a free one. */
  readonly port: number
  /** Origins whose pages may show this one in a frame. */
  readonly framedBy?: readonly string[]
  /** Origins that this page shows in frames. */
  readonly frames?: () => readonly string[]
  /** A page of ours is there. */
  readonly onpage: (socket: WebSocket) => void
}

/** What is offered and not fetched is forgotten after so long. */
const OFFER_MS = 60_000

export class PageServer {
  /** A page that is served once, and its path. */
  #offered: { readonly path: string; readonly page: string } | null = null
  #timer: NodeJS.Timeout | undefined
  readonly #options: PageServerOptions
  readonly #http: http.Server
  readonly #sockets: WebSocketServer
  #host = ''

  static async listen(options: PageServerOptions): Promise<PageServer> {
    const server = new PageServer(options)
    await server.#listen(options.port)
    return server
  }

  private constructor(options: PageServerOptions) {
    this.#options = options
    this.#http = http.createServer((request, response) => this.#serve(request, response))
    this.#sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES })
    this.#http.on('upgrade', (request, socket, head) => {
      if (!this.#isOurs(request) || request.headers.origin !== this.origin) {
        socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n')
        return
      }
      this.#sockets.handleUpgrade(request, socket, head, (page) => this.#admit(page, request))
    })
  }

  get origin(): string {
    return `http://${this.#host}`
  }

  get port(): number {
    return Number(this.#host.split(':')[1])
  }

  /** What a person opens. The token stands in the fragment, which no browser sends anywhere. */
  get url(): string {
    return `${this.origin}/#token=${this.#options.token}`
  }

  /**
   * Serves a page of secrets: once, soon, to who knows where, and within our own pages. It may have styles of its own, and nothing else.
   * @returns its path
   */
  offer(page: string): string {
    clearTimeout(this.#timer)
    const path = `/once/${randomBytes(24).toString('base64url')}`
    this.#offered = { path, page }
    this.#timer = setTimeout(() => (this.#offered = null), OFFER_MS)
    return path
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#offered = null
    for (const page of this.#sockets.clients) page.terminate()
    this.#sockets.close()
    this.#http.closeAllConnections()
    await new Promise<void>((resolve) => this.#http.close(() => resolve()))
  }

  #listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#http.once('error', reject)
      this.#http.listen(port, '127.0.0.1', () => {
        const address = this.#http.address()
        if (address !== null && typeof address !== 'string')
          this.#host = `127.0.0.1:${address.port}`
        resolve()
      })
    })
  }

  #isOurs({ headers }: http.IncomingMessage): boolean {
    return headers.host === this.#host
  }

  #admit(page: WebSocket, { url }: http.IncomingMessage): void {
    page.on('error', () => {}) // 'close' follows
    const token = this.#parse(url)?.searchParams.get('token') ?? ''
    if (isSame(token, this.#options.token)) this.#options.onpage(page)
    else page.close(CLOSE.wrongToken, 'wrong token')
  }

  /** Null for a request line that is no address. */
  #parse(url = ''): URL | null {
    return URL.canParse(url, this.origin) ? new URL(url, this.origin) : null
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const pathname = this.#parse(request.url)?.pathname ?? ''
    const path = pathname === '/' ? '/index.html' : pathname
    const file = this.#options.files[path]
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    if (!this.#isOurs(request) || !isRead) return answer(response, 403, 'Forbidden\n')
    if (pathname === this.#offered?.path) return this.#serveOffered(response, this.#offered.page)
    if (file === undefined) return answer(response, 404, 'Not found\n')
    response.setHeader('Content-Type', typeOf(path))
    response.setHeader('Content-Security-Policy', this.#policy())
    answer(response, 200, file)
  }

  #serveOffered(response: http.ServerResponse, page: string): void {
    this.#offered = null
    const { framedBy = [] } = this.#options
    response.setHeader('Content-Type', typeOf('.html'))
    const policy = {
      'default-src': "'none'",
      'style-src': "'unsafe-inline'",
      'frame-ancestors': ["'self'", ...framedBy].join(' '),
      'base-uri': "'none'",
      'form-action': "'none'"
    }
    response.setHeader('Content-Security-Policy', policyOf(policy))
    answer(response, 200, page)
  }

  #policy(): string {
    const { framedBy = [], frames = () => [] } = this.#options
    return policyOf({
      'default-src': "'none'",
      'script-src': "'self'",
      'style-src': "'self'",
      'connect-src': "'self'",
      'img-src': "'self'",
      'frame-src': frames().join(' ') || "'none'",
      'frame-ancestors': framedBy.join(' ') || "'none'",
      'base-uri': "'none'",
      'form-action': "'none'",
      'require-trusted-types-for': "'script'",
      'trusted-types': 'lit-html'
    })
  }
}

function policyOf(rules: Readonly<Record<string, string>>): string {
  return Object.entries(rules)
    .map((rule) => rule.join(' '))
    .join('; ')
}

/** The reason of a closing: 123 bytes at most. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error))
    .replaceAll(/[^ -~]/g, '?')
    .slice(0, 123)
}

function answer(response: http.ServerResponse, status: number, body: string): void {
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.setHeader('Referrer-Policy', 'no-referrer')
  response.setHeader('Cross-Origin-Resource-Policy', 'same-origin')
  response.setHeader('Cache-Control', 'no-store')
  response.writeHead(status).end(body)
}

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml'
}

function typeOf(path: string): string {
  return TYPES[path.slice(path.lastIndexOf('.') + 1)] ?? 'text/plain; charset=utf-8'
}

/** In a time that tells nothing of where they differ. */
function isSame(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
