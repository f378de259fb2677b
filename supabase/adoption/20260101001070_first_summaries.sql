-- Long conversations have no summary yet. Their first ones are spread over three days.

insert into public.conversation_summaries (conversation_id, not_before)
select m.conversation_id, now() + random() * interval '3 days'
from public.messages m
group by 1 having count(*) > 100
on conflict do nothing;
