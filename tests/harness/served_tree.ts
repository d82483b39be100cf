/**
 * The files of this tree over HTTP, as somebody has them who imports Whorl from
 * a URL.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url);

/** A server of the tree on a free port of this machine. */
export class ServedTree implements AsyncDisposable {
  /** URL of the root of the tree, with its last `/`. */
  readonly url: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  /** Starts it. */
  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      answer,
    );
    this.url = `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** Stops it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  try {
    const file = await Deno.readFile(new URL(`.${pathname}`, ROOT));
    const type = pathname.endsWith(".ts")
      ? "application/typescript"
      : "text/javascript";
    return new Response(file, { headers: { "content-type": type } });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return new Response(null, { status: 404 });
  }
}
