-- noqa: disable=LT02
-- the loops below write whole selects
with

counted as (

    select * from {{ ref('feed_days') }}

),

-- a feed is known up to the day on which it landed, which was not over yet; what is dated later is not known
landed as (

    select
        source_table,
        feed,
        {{ local_day('max(landed_at)') }} as landed_date
    from counted
    group by source_table, feed

),

ended as (

    {{ ended_feeds() | indent(4) }}

),

closed as (

    {{ closed_days() | indent(4) }}

),

delivered as (

    select
        counted.source_table,
        counted.feed,
        counted.day_date
    from counted
    inner join landed
        on
            counted.source_table = landed.source_table
            and counted.feed = landed.feed
    where
        counted.day_date < landed.landed_date
        and counted.day_date >= cast('{{ var('history_starts') }}' as date)

),

feeds as (

    select
        delivered.source_table,
        delivered.feed,
        min(delivered.day_date) as first_date,
        least(
            max(landed.landed_date),
            greatest({{ as_of() }}, {{ add_days('max(delivered.day_date)', 1) }}),
            coalesce({{ add_days('max(ended.last_date)', 1) }}, max(landed.landed_date))
        ) as reach_date
    from delivered
    inner join landed
        on
            delivered.source_table = landed.source_table
            and delivered.feed = landed.feed
    left join ended
        on
            delivered.source_table = ended.source_table
            and delivered.feed = ended.feed
    group by delivered.source_table, delivered.feed

),

explained as (

    select * from delivered
    union distinct
    select
        feeds.source_table,
        feeds.feed,
        closed.day_date
    from feeds
    cross join closed
    where
        closed.day_date > feeds.first_date
        and closed.day_date < feeds.reach_date

),

followed as (

    select
        explained.*,
        lead(explained.day_date) over (
            partition by explained.source_table, explained.feed order by explained.day_date
        ) as next_date
    from explained

),

pauses as (

    select
        followed.source_table,
        followed.feed,
        {{ add_days('followed.day_date', 1) }} as paused_from,
        coalesce(followed.next_date, feeds.reach_date) as paused_until
    from followed
    inner join feeds
        on
            followed.source_table = feeds.source_table
            and followed.feed = feeds.feed
    where {{ days_between('followed.day_date', 'coalesce(followed.next_date, feeds.reach_date)') }} > 1

),

weekdays as (

    select 1 as weekday_number
    {%- for number in range(2, 8) %}
    union all
    select {{ number }}
    {%- endfor %}

),

-- which share of the Mondays, Tuesdays, ... has rows; half a day is added so that nothing is quite certain
rhythm as (

    select
        feeds.source_table,
        feeds.feed,
        weekdays.weekday_number,
        cast(count(explained.day_date) as double) / nullif(max({{ weekdays_within(
            'weekdays.weekday_number', 'feeds.first_date', days_between('feeds.first_date', 'feeds.reach_date')
        ) }}), 0) as share_open,
        ln(1 - (count(explained.day_date) + 0.5) / (max({{ weekdays_within(
            'weekdays.weekday_number', 'feeds.first_date', days_between('feeds.first_date', 'feeds.reach_date')
        ) }}) + 1)) as log_chance
    from feeds
    cross join weekdays
    left join explained
        on
            feeds.source_table = explained.source_table
            and feeds.feed = explained.feed
            and weekdays.weekday_number = {{ weekday('explained.day_date') }}
            and feeds.reach_date > explained.day_date
    group by feeds.source_table, feeds.feed, weekdays.weekday_number

),

-- how many days of trade a pause left out, and how likely the feed's rhythm makes so many in a row
weighed as (

    select
        pauses.source_table,
        pauses.feed,
        pauses.paused_from,
        pauses.paused_until,
        {{ days_between('pauses.paused_from', 'pauses.paused_until') }} as count_days,
        sum(coalesce(rhythm.share_open, 0) * {{ weekdays_within(
            'rhythm.weekday_number', 'pauses.paused_from', days_between('pauses.paused_from', 'pauses.paused_until')
        ) }}) as count_open_days,
        sum(rhythm.log_chance * {{ weekdays_within(
            'rhythm.weekday_number', 'pauses.paused_from', days_between('pauses.paused_from', 'pauses.paused_until')
        ) }}) as log_chance
    from pauses
    inner join rhythm
        on
            pauses.source_table = rhythm.source_table
            and pauses.feed = rhythm.feed
    group by pauses.source_table, pauses.feed, pauses.paused_from, pauses.paused_until

),

ranked as (

    select
        weighed.*,
        row_number() over (
            partition by weighed.source_table, weighed.feed order by weighed.count_open_days desc, weighed.paused_from asc
        ) as place,
        greatest(
            3,
            ceil({{ days_between('feeds.first_date', 'feeds.reach_date') }} / {{ policy('coverage', 'usual_every_days') }}.0)
        ) as usual_place
    from weighed
    inner join feeds
        on
            weighed.source_table = feeds.source_table
            and weighed.feed = feeds.feed

),

compared as (

    select
        *,
        coalesce(
            max(case when place = usual_place then count_open_days end) over (partition by source_table, feed), 0
        ) as usual_open_days
    from ranked

),

-- contracts are a state: a day on which none begins lacks nothing
judged as (

    select
        source_table,
        feed,
        paused_from,
        paused_until,
        cast(count_days as bigint) as count_days,
        round(count_open_days, 6) as count_open_days,
        source_table <> 'subscriptions'
        and count_open_days > greatest(
            {{ policy('coverage', 'closure_days') }}, {{ policy('coverage', 'times_usual') }} * usual_open_days
        )
        and log_chance < ln({{ policy('coverage', 'chance') }}) as is_missing
    from compared

)

select * from judged
