import { assertEquals } from "@std/assert";
import {
  downFailureText,
  downText,
  joinText,
  stagedText,
  stageFailureText,
} from "./admin_messages.ts";

// After riak_core_console: stage_leave/1, stage_remove/1, stage_replace/2,
// stage_force_replace/2, down/1 and join/1.

Deno.test("staged changes are reported in riak_core's words", () => {
  const [a, b] = ["dev1@127.0.0.1", "dev4@127.0.0.1"];
  assertEquals(
    stagedText("leave", a),
    "Success: staged leave request for 'dev1@127.0.0.1'\n",
  );
  assertEquals(
    stagedText("force-remove", a),
    "Success: staged remove request for 'dev1@127.0.0.1'\n",
  );
  assertEquals(
    stagedText("replace", a, b),
    "Success: staged replacement of 'dev1@127.0.0.1' with 'dev4@127.0.0.1'\n",
  );
  assertEquals(
    stagedText("force-replace", a, b),
    "Success: staged forced replacement of 'dev1@127.0.0.1' with 'dev4@127.0.0.1'\n",
  );
  assertEquals(joinText(a), "Sent join request to dev1@127.0.0.1\n");
  assertEquals(downText(a), "Success: 'dev1@127.0.0.1' marked as down\n");
});

Deno.test("refusals are reported in riak_core's words, where it has any", () => {
  assertEquals(
    stageFailureText("leave", "already_leaving", "a"),
    "a is already in the process of leaving the cluster.\n",
  );
  assertEquals(
    stageFailureText("leave", "not_member", "a"),
    "Failed: a is not a member of the cluster.\n",
  );
  assertEquals(
    stageFailureText("leave", "only_member", "a"),
    "Failed: a is the only member.\n",
  );
  assertEquals(
    stageFailureText("force-replace", "is_claimant", "a", "b"),
    "Failed: a is the claimant (see riak-admin ring_status).\n" +
      "The claimant is the node responsible for initiating cluster changes,\n" +
      "and cannot forcefully replace itself. You can use 'riak-admin down' to\n" +
      "mark the node as offline, which will trigger a new claimant to take\nover.\n",
  );
  assertEquals(
    stageFailureText("replace", "invalid_replacement", "a", "b"),
    "Failed: b is not a valid replacement candidate.\n" +
      "Only newly joining nodes can be used for replacement.\n",
  );
  assertEquals(
    stageFailureText("replace", "already_replacement", "a", "b"),
    "Failed: b is already staged to replace another node.\n",
  );
  assertEquals(stageFailureText("leave", "timeout", "a"), null);
  assertEquals(downFailureText("is_up", "a"), "Failed: a is up\n");
  assertEquals(
    downFailureText("not_member", "a"),
    "Failed: a is not a member of the cluster.\n",
  );
  assertEquals(downFailureText("timeout", "a"), null);
});
