with

-- whose loss could have been seen since the window: it shows so many days late
decisions as (

    select
        entry_id,
        as_of,
        customer_id,
        probability,
        value_from_now,
        outcome_until,
        {{ days_before(as_of(), days_until_lost()) }} as seen_until
    from {{ ref('treatment_outcomes') }}
    where
        is_mature
        and retained
        and probability is not null
        and value_from_now is not null
        and outcome_until < {{ days_before(as_of(), days_until_lost()) }}

),

spells as (

    select * from {{ ref('int_activity_spells') }}

),

losses as (

    select
        decisions.entry_id,
        min(spells.active_until) as lost_date
    from decisions
    inner join spells
        on
            decisions.customer_id = spells.customer_id
            and decisions.outcome_until <= spells.active_until
            and decisions.seen_until > spells.active_until
    where spells.is_lost
    group by decisions.entry_id

),

ended as (

    select
        decisions.*,
        losses.lost_date is not null as is_lost,
        coalesce(losses.lost_date, decisions.seen_until) as followed_until
    from decisions
    left join losses on decisions.entry_id = losses.entry_id

),

lived as (

    select
        ended.entry_id,
        sum(
            {{ days_between(
                'greatest(spells.active_from, ended.outcome_until)', 'least(spells.active_until, ended.followed_until)'
            ) }}
        ) / 365.0 as years
    from ended
    inner join spells
        on
            ended.customer_id = spells.customer_id
            and ended.outcome_until < spells.active_until
            and ended.followed_until > spells.active_from
    group by ended.entry_id

),

followed as (

    select
        ended.entry_id,
        ended.as_of,
        ended.customer_id,
        cast(ended.probability as double) as probability,
        cast(ended.value_from_now as double) as value_from_now,
        cast(coalesce(lived.years, 0) as double) as years_followed,
        ended.is_lost
    from ended
    left join lived on ended.entry_id = lived.entry_id

)

select * from followed
