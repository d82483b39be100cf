/**
 * flavio's HTTP interface.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { MSG_BYTES_MAX } from "../examples/flavio/message.ts";
import { BODY_BYTES_MAX, serveFlavio } from "../examples/flavio/flavio_http.ts";
import { flavioOf, NOW, startFlavioNode } from "./harness/flavio_node.ts";

Deno.test("flavio's HTTP interface posts and reads messages, and reports what is wrong with a request", async (t) => {
  await using node = await startFlavioNode();
  await using server = serveFlavio(flavioOf(node), {
    hostname: "127.0.0.1",
    port: 0,
  }, 300);
  const root = `http://127.0.0.1:${server.addr.port}`;
  const at = `${root}/msgs/mariano/english`;
  const fetched = async (
    input: string,
    init: RequestInit = {},
  ): Promise<[number, unknown]> => {
    const response = await fetch(input, init);
    return [response.status, await response.json()];
  };
  const post = (body: BodyInit, type = "application/json", url = at) =>
    fetched(url, {
      method: "POST",
      body,
      headers: { "content-type": type },
    });
  const shown = (id: number, msg: string) => ({
    id,
    lat: 9001,
    lng: 9001,
    date: NOW,
    ref: 0,
    type: 0,
    msg,
  });
  const typeOf = ([status, body]: [number, unknown]) => [
    status,
    (body as { type: string }).type,
  ];

  await t.step("messages", async () => {
    assertEquals(await fetched(at), [200, []]);
    for (const [i, msg] of ["hi", "there", "¿qué?"].entries()) {
      assertEquals(
        await post(JSON.stringify({ msg }), "application/json; charset=utf-8"),
        [200, shown(i + 1, msg)],
      );
    }
    assertEquals(await fetched(at), [200, [shown(3, "¿qué?")]]);
    assertEquals(await fetched(`${at}?limit=2`), [200, [
      shown(2, "there"),
      shown(3, "¿qué?"),
    ]]);
    assertEquals(await fetched(`${at}?from=1&limit=2`), [200, [
      shown(1, "hi"),
      shown(2, "there"),
    ]]);
    assertEquals(await fetched(`${at}?from=2`), [200, [shown(2, "there")]]);
    assertEquals(await fetched(`${at}?from=10&limit=3`), [200, []]);
    const all = await fetched(`${at}?from=1&limit=999999`);
    assertEquals((all[1] as unknown[]).length, 3);
  });
  await t.step("numbers that are none", async () => {
    for (const bad of ["x", "-1", "0", "1.5", "", "1e3", "9".repeat(30)]) {
      assertEquals(
        await fetched(`${at}?from=${bad}&limit=${bad}`),
        [200, [shown(3, "¿qué?")]],
        bad,
      );
    }
  });
  await t.step("names", async () => {
    const odd = `${root}/msgs/${encodeURIComponent("a/b é")}/%E2%82%AC`;
    assertEquals(
      await post('{"msg":"odd"}', "application/json", odd),
      [200, shown(1, "odd")],
    );
    const { rows } = await flavioOf(node).listStreams("a/b é");
    assertEquals(rows[0]?.names, ["€"]);
    assertEquals(
      typeOf(await fetched(`${root}/msgs/%ff/x`)),
      [400, "invalid-path"],
    );
    for (const path of ["/a/", "//x", `/${"x".repeat(257)}/y`]) {
      assertEquals(
        typeOf(await fetched(`${root}/msgs${path}`)),
        [400, "invalid-name"],
        path,
      );
    }
    for (const path of ["", "/msgs", "/msgs/a", "/msgs/a/b/c", "/else"]) {
      assertEquals(
        typeOf(await fetched(root + path)),
        [404, "not-found"],
        path,
      );
    }
  });
  await t.step("refusals", async () => {
    assertEquals(typeOf(await post("{}")), [400, "no-msg"]);
    assertEquals(typeOf(await post('{"msg":7}')), [400, "no-msg"]);
    assertEquals(typeOf(await post("{no json")), [400, "invalid-body"]);
    assertEquals(typeOf(await post("")), [400, "invalid-body"]);
    assertEquals(typeOf(await post("[]")), [400, "invalid-body"]);
    assertEquals(typeOf(await post("null")), [400, "invalid-body"]);
    assertEquals(typeOf(await post(new Uint8Array([0x22, 0xff, 0x22]))), [
      400,
      "invalid-body",
    ]);
    assertEquals(typeOf(await post('{"msg":"hi"}', "text/plain")), [
      415,
      "unsupported-media-type",
    ]);
    assertEquals(
      typeOf(await post(`{"msg":"${"x".repeat(MSG_BYTES_MAX + 1)}"}`)),
      [413, "too-large"],
    );
    assertEquals(typeOf(await post("x".repeat(BODY_BYTES_MAX + 1))), [
      413,
      "too-large",
    ]);
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      const response = await fetch(at, { method });
      assertEquals(
        [response.status, response.headers.get("allow")],
        [405, "GET, POST"],
      );
      await response.body?.cancel();
    }
    assertEquals((await fetched(`${root}/ping`))[0], 200);
  });
  await t.step("a body that does not come", async () => {
    using connection = await Deno.connect({ port: server.addr.port });
    await connection.write(new TextEncoder().encode(
      "POST /msgs/mariano/english HTTP/1.1\r\nhost: 127.0.0.1\r\n" +
        "content-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    ));
    const answer = new Uint8Array(64);
    await connection.read(answer);
    assertMatch(new TextDecoder().decode(answer), /^HTTP\/1\.1 408 /);
  });
  await t.step("a stream that cannot be reached", async () => {
    await node.stop();
    assertEquals(typeOf(await fetched(at)), [503, "closed"]);
  });
});
