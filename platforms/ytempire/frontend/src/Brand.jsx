export function Brand() {
  return (
    <div className="brand">
      <img src="/icon.svg" alt="" width="28" height="28" />
      <span>YTEMPIRE</span>
    </div>
  );
}
