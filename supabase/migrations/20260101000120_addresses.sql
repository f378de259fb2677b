-- The addresses at which a worker may be registered. The functions check again when they call it,
-- because only they can see what a name resolves to. Their list (edge/addresses.py) has the same
-- entries.

-- Whether the host of a URL is on the public internet: a full name, or an address in its canonical
-- spelling. All other spellings are rejected.
create function private.is_public_host(p_host text) returns boolean
language plpgsql immutable set search_path = '' as $$
declare
  v_host text := rtrim(lower(p_host), '.');
  v_address inet;
begin
  if v_host ~ '^\[[0-9a-f:.]+\]$' then
    v_address := trim(v_host, '[]')::inet;
    -- Global unicast, except ranges that embed an IPv4 address or are unassigned.
    return v_address <<= '2000::/3' and not v_address <<= any (array[
      '2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']::inet[]);
  elsif v_host ~ '^(\d{1,3}\.){3}\d{1,3}$' then
    v_address := v_host::inet;
    return host(v_address) = v_host and not v_address <<= any (array[
      '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '168.63.129.16/32', '169.254.0.0/16', '172.16.0.0/12',
      '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15',
      '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/3']::inet[]);
  end if;
  return char_length(v_host) <= 253
    and v_host ~ '^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'
    and v_host !~ '(^|\.)(localhost|localdomain|local|internal|intranet|lan|home|corp|private|home\.arpa)$';
exception when invalid_text_representation then
  return false;
end $$;

-- Why a worker may not be registered at an address; null if it may.
create function private.why_address_rejected(p_url text, p_allow_local boolean) returns text
language sql immutable set search_path = '' as $$
  select case
    when p_url !~* '^https?://([^][\s/?#@\\:]+|\[[^][\s/?#@\\]+\])(:\d{1,5})?(/[^\s?#\\]*)?$'
         or char_length(p_url) > 2000
      then 'must be an http(s) URL without credentials or query'
    when coalesce(substring(lower(p_url) from '^https?://[^/]+?:(\d+)(?:/|$)')::integer, 1) not between 1 and 65535
      then 'has a port that does not exist'
    when p_allow_local then null
    when p_url !~* '^https://' then 'must be https'
    when not private.is_public_host(substring(lower(p_url) from '^https://(\[[^\]]*\]|[^/:]+)'))
      then 'must be on a public host'
  end
$$;

revoke execute on function private.is_public_host(text), private.why_address_rejected(text, boolean)
  from public, anon, authenticated;
