// Distinguishes chat files from cards and lorebooks by their content, as roleplay_chat does. Pure functions.

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const someHave = (rows, ...names) =>
  Array.isArray(rows) && rows.some((row) => isObject(row) && names.every((name) => Object.hasOwn(row, name)));
const isPair = (row) =>
  Array.isArray(row) && row.length === 2 && row.every((text) => text === null || typeof text === "string");
const arePairs = (rows) => Array.isArray(rows) && rows.length > 0 && rows.every(isPair);

const isList = (rows) => someHave(rows, "mes") || someHave(rows, "swipes") || someHave(rows, "role", "content") || arePairs(rows);

function isRisuAi(value) {
  const data = ["risuChat", "risuAllChats"].includes(value.type) ? value.data : value;
  return [data].flat().some((chat) => isObject(chat) && Array.isArray(chat.message));
}

function isCaiTools({ histories }) {
  const chats = isObject(histories) ? histories.histories : histories;
  return Array.isArray(chats) && chats.some((chat) => isObject(chat) && Array.isArray(chat.msgs));
}

const isKobold = ({ actions, savedsettings }) => Array.isArray(actions) && isObject(savedsettings);
const PAIRS = ["internal", "data", "visible", "data_visible", "history"];
const isWebui = (value) => PAIRS.some((name) => arePairs(value[name]));
const LISTS = ["messages", "chat", "history"];
const isLists = (value) => LISTS.some((name) => someHave(value[name], "msg") || isList(value[name]));

const holdsChat = (value) =>
  isObject(value) ? [isRisuAi, isCaiTools, isKobold, isWebui, isLists].some((holds) => holds(value)) : isList(value);

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const LINE = /\S[^\n\r]*/g;
const LINES = 20; // that are looked at; the first ones may be damaged
const HEADER = ["chat_metadata", "user_name", "character_name"];

/** Whether a text consists of lines that are a header or messages. */
function areLines(text) {
  LINE.lastIndex = 0;
  for (let number = 0; number < LINES; number += 1) {
    const [line] = LINE.exec(text) ?? [];
    if (line === undefined) return false;
    if (line[0] !== "{") continue;
    const value = parsed(line);
    if (someHave([value], "mes") || someHave([value], "swipes")) return true;
    if (isObject(value) && HEADER.some((name) => Object.hasOwn(value, name))) return true;
  }
  return false;
}

/** Whether the text of a file is a chat; null, of a file that has none, is not. */
export function isChat(text) {
  if (text === null) return false;
  const value = parsed(text);
  return value === undefined ? areLines(text) : holdsChat(value) || someHave([value], "mes") || someHave([value], "swipes");
}
