/** Who is signed in. */
import { reactive } from "vue";

import { get, post, Refused, whenSignedOut } from "../api/client";
import type { Me } from "../api/types";
import { complain } from "./toasts";

interface Session {
  me: Me | null;
  asked: boolean;
  ended: boolean;
}

export const session = reactive<Session>({ me: null, asked: false, ended: false });

// The cookie itself is out of a script's sight, so a note tells whether asking the server makes sense at all.
const KEPT = "patrol.signedIn";

whenSignedOut(() => {
  session.ended = session.me !== null;
  session.me = null;
  localStorage.removeItem(KEPT);
});

/** Whether the reader's role allows something; the server asks again at every act. */
export function may(permission: string): boolean {
  return session.me?.permissions.includes(permission) ?? false;
}

/** Ask once, when the page opens, whether the last session still stands. */
export async function resume(): Promise<void> {
  try {
    if (localStorage.getItem(KEPT)) session.me = await get("/api/me");
  } catch (error) {
    if (!(error instanceof Refused && error.status === 401)) complain(error);
  } finally {
    session.asked = true;
  }
}

export async function signIn(name: string, password: string): Promise<void> {
  session.me = await post("/api/login", { body: { name, password } });
  session.ended = false;
  localStorage.setItem(KEPT, "1");
}

export async function signOut(): Promise<void> {
  await post("/api/logout").catch(complain);
  session.me = null;
  session.ended = false;
  localStorage.removeItem(KEPT);
}
