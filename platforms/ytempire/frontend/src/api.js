// The API on our own origin. Every call resolves to JSON or throws an ApiError
// whose message can be shown to a person.

const KEPT = 'ytempire.session';

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function savedSession() {
  try {
    return JSON.parse(localStorage.getItem(KEPT));
  } catch {
    return null;
  }
}

export function saveSession(session) {
  if (session) localStorage.setItem(KEPT, JSON.stringify(session));
  else localStorage.removeItem(KEPT);
}

export async function call(method, path, body) {
  const token = savedSession()?.access_token;
  let answer;
  try {
    answer = await fetch(`/api${path}`, {
      method,
      headers: {
        ...(body && { 'Content-Type': 'application/json' }),
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, 'The server cannot be reached. Trying again helps when it is restarting.');
  }
  const read = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(answer.status, reason(read, answer.status));
  return read;
}

function reason(read, status) {
  if (typeof read?.detail === 'string') {
    return read.detail.charAt(0).toUpperCase() + read.detail.slice(1) + '.';
  }
  if (Array.isArray(read?.detail)) return read.detail.map((problem) => problem.msg).join(' ');
  return `The server answered ${status}.`;
}
