-- depends_on: {{ ref('int_customer_order_days') }}
-- depends_on: {{ ref('int_subscriptions_dated') }}
with

-- an order keeps a customer active for the policy's days, a contract until it ends
activities as (

    {%- if contracts_decide() %}
        select
            customer_id,
            started_date as active_from,
            least(coalesce(ended_date, {{ as_of() }}), {{ as_of() }}) as active_until
        from {{ ref('int_subscriptions_dated') }}
        where
            started_date < {{ as_of() }}
            and (ended_date is null or ended_date > started_date)
    {%- else %}
        select
            customer_id,
            order_date as active_from,
            least({{ add_days('order_date', policy('lifecycle', 'active_days')) }}, {{ as_of() }}) as active_until
        from {{ ref('int_customer_order_days') }}
        where order_date < {{ as_of() }}
    {%- endif %}

),

followed as (

    select
        *,
        max(active_until) over (
            partition by customer_id
            order by active_from, active_until
            rows between unbounded preceding and 1 preceding
        ) as active_before
    from activities

),

numbered as (

    select
        *,
        sum(case when active_from > active_before then 1 else 0 end) over (
            partition by customer_id order by active_from, active_until rows unbounded preceding
        ) as count_returns
    from followed

),

spells as (

    select
        customer_id,
        count_returns > 0 as is_returned,
        min(active_from) as active_from,
        max(active_until) as active_until
    from numbered
    group by customer_id, count_returns

),

-- lost is who stays away until the stage of the churned begins
ended as (

    select
        *,
        {{ days_between(
            'active_until',
            'coalesce(lead(active_from) over (partition by customer_id order by active_from), ' ~ as_of() ~ ')'
        ) }} >= {{ days_until_lost() }} as is_lost
    from spells

)

select * from ended
