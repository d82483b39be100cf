import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { formatAddress, parseAddress } from "./address.ts";

Deno.test("parseAddress() parses names, IPv4 and bracketed IPv6 addresses", () => {
  assertEquals(parseAddress("localhost:0"), { host: "localhost", port: 0 });
  assertEquals(parseAddress("10.0.0.1:65535"), {
    host: "10.0.0.1",
    port: 65535,
  });
  assertEquals(parseAddress("[::1]:4001"), { host: "::1", port: 4001 });
  assertEquals(parseAddress("[fe80::1%eth0]:1"), {
    host: "fe80::1%eth0",
    port: 1,
  });
});

Deno.test("formatAddress() undoes parseAddress()", () => {
  for (const address of ["localhost:0", "10.0.0.1:65535", "[::1]:4001"]) {
    const { host, port } = parseAddress(address);
    assertEquals(formatAddress(host, port), address);
  }
});

Deno.test("parseAddress() refuses invalid addresses and quotes them", () => {
  for (
    const address of [
      "",
      "host",
      "host:",
      ":80",
      "host:65536",
      "host:-1",
      "host:1.5",
      "::1:80",
      "[::1]",
      "[]:1",
      "a b:1",
      "http://a:1",
      "a:1/x",
    ]
  ) {
    const error = assertThrows(
      () => parseAddress(address),
      WhorlError,
      `"${address}"`,
    );
    assertEquals(error.code, "invalid_argument");
  }
});
