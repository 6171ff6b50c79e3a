import { useCallback, useState } from 'react';
import { saveSession, savedSession } from './api.js';
import { Login } from './Login.jsx';
import { Studio } from './Studio.jsx';

export function App() {
  const [session, setSession] = useState(savedSession);
  const enter = useCallback((entered) => {
    saveSession(entered);
    setSession(entered);
  }, []);
  const leave = useCallback(() => enter(null), [enter]);

  return session ? <Studio user={session.user} onLeave={leave} /> : <Login onEnter={enter} />;
}
