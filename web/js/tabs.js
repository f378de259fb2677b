// Other tabs of this browser are told about changes, and tell about theirs.

const channel = new BroadcastChannel("roleplay");

/** Tells the other tabs that a conversation has changed; without an id, the list of them. */
export const announce = (conversation_id = null) => channel.postMessage(conversation_id);

export function onAnnounced(callback) {
  channel.onmessage = ({ data }) => callback(data);
}
