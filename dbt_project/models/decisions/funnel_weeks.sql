{%- set steps = ['saw', 'put_in_cart', 'checked_out', 'paid'] -%}
with

weeks as (

    {{ past_weeks() | indent(4) }}

),

members as (

    {{ members_and_everybody() | indent(4) }}

),

-- who is further has passed the steps before, whether or not the log shows them
customer_weeks as (

    select
        event_days.customer_id,
        weeks.week_number,
        weeks.first_date,
        max(
            case
                when event_days.count_payments > 0 then 4
                when event_days.count_checkouts > 0 then 3
                when event_days.count_carts > 0 then 2
                when event_days.count_views + event_days.count_searches > 0 then 1
                else 0
            end
        ) as furthest
    from {{ ref('int_customer_event_days') }} as event_days
    inner join weeks
        on
            event_days.event_date >= weeks.first_date
            and event_days.event_date <= weeks.last_date
    group by event_days.customer_id, weeks.week_number, weeks.first_date

),

reached as (

    {%- for step in steps[:-1] %}
        select
            '{{ step }}' as step,
            {{ loop.index }} as step_number,
            members.group_name,
            customer_weeks.week_number,
            customer_weeks.first_date,
            cast(count_if(customer_weeks.furthest >= {{ loop.index }}) as bigint) as count_customers,
            cast(count_if(customer_weeks.furthest > {{ loop.index }}) as bigint) as count_continued
        from customer_weeks
        inner join members on customer_weeks.customer_id = members.customer_id
        group by members.group_name, customer_weeks.week_number, customer_weeks.first_date
        {{ 'union all' if not loop.last }}
    {%- endfor %}

)

select * from reached
