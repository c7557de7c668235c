-- depends_on: {{ ref('int_customer_event_days') }}
with

customers as (

    select
        stg_customers.*,
        int_customers_dated.known_date
    from {{ ref('stg_customers') }} as stg_customers
    inner join {{ ref('int_customers_dated') }} as int_customers_dated
        on stg_customers.customer_id = int_customers_dated.customer_id
    where int_customers_dated.known_date is null or int_customers_dated.known_date < {{ as_of() }}

),

purchases as (

    select
        customer_id,
        min(order_date) as first_order_date,
        max(order_date) as last_order_date,
        {{ days_between('max(order_date)', as_of()) }} as recency_days,
        cast(sum(count_orders) as bigint) as count_orders_total,
        cast(coalesce(sum(count_orders) filter (where order_date >= {{ days_before(as_of(), 90) }}), 0) as bigint)
            as count_orders_quarter,
        cast(coalesce(sum(count_orders) filter (where order_date >= {{ days_before(as_of(), 365) }}), 0) as bigint)
            as count_orders_year,
        sum(amount_spent) as amount_spent_total,
        coalesce(sum(amount_spent) filter (where order_date >= {{ days_before(as_of(), 90) }}), 0)
            as amount_spent_quarter,
        coalesce(
            sum(amount_spent) filter (
                where order_date >= {{ days_before(as_of(), 180) }} and order_date < {{ days_before(as_of(), 90) }}
            ), 0
        ) as amount_spent_quarter_before,
        coalesce(sum(amount_spent) filter (where order_date >= {{ days_before(as_of(), 365) }}), 0)
            as amount_spent_year,
        coalesce(sum(amount_discount) filter (where order_date >= {{ days_before(as_of(), 365) }}), 0)
            as amount_discount_year,
        coalesce(
            sum(count_orders) filter (
                where order_date >= {{ days_before(as_of(), policy('rfm', 'frequency_days')) }}
            ), 0
        ) as count_orders_scored
    from {{ ref('int_customer_order_days') }}
    where
        order_date < {{ as_of() }}
        and customer_id in (select customers.customer_id from customers)
    group by customer_id

),

started_contracts as (

    select
        customer_id,
        started_date,
        ended_date,
        amount_monthly,
        ended_date is null or ended_date >= {{ as_of() }} as is_running,
        ended_date = max(ended_date) over (partition by customer_id) as is_last_ended
    from {{ ref('int_subscriptions_dated') }}
    where started_date < {{ as_of() }}

),

contracts as (

    select
        customer_id,
        count_if(is_running) as count_subscriptions,
        sum(amount_monthly) filter (where is_running) as amount_monthly,
        sum(amount_monthly) filter (where is_last_ended) as last_amount_monthly,
        min(started_date) as first_contract_date,
        max(ended_date) as last_contract_date
    from started_contracts
    group by customer_id

),

tickets as (

    select
        customer_id,
        count(*) as count_tickets_half_year,
        count_if(is_complaint) as count_complaints_half_year,
        avg(satisfaction) filter (where resolved_date < {{ as_of() }}) as mean_satisfaction_half_year
    from {{ ref('int_tickets_timed') }}
    where
        opened_date < {{ as_of() }}
        and opened_date >= {{ days_before(as_of(), 180) }}
    group by customer_id

),

topics as (

    select
        customer_id,
        coalesce(domain, 'other') as domain,
        count(*) as count_texts,
        count_if(is_negative) as count_negative,
        max(written_date) filter (where is_negative) as last_negative_date
    from {{ ref('int_texts_read') }}
    where
        written_date < {{ as_of() }}
        and written_date >= {{ days_before(as_of(), 180) }}
    group by customer_id, coalesce(domain, 'other')

),

ranked_topics as (

    select
        *,
        row_number() over (
            partition by customer_id order by count_negative desc, last_negative_date desc nulls last, domain asc
        ) as place
    from topics

),

texts as (

    select
        customer_id,
        cast(sum(count_texts) as bigint) as count_texts_half_year,
        cast(sum(count_negative) as bigint) as count_negative_texts_half_year,
        max(domain) filter (where place = 1 and count_negative > 0) as negative_about
    from ranked_topics
    group by customer_id

),

signals as (

    select * from {{ ref('int_customer_signals') }}

),

permissions as (

    select
        customer_id,
        allowed_channels
    from {{ ref('contact_permissions') }}

),

-- what recency, frequency and money mean here: orders, or, where contracts decide who is a customer, use and fee
rated as (

    {%- if contracts_decide() %}
        select
            contracts.customer_id,
            {{ days_between('greatest(used.last_date, purchases.last_order_date)', as_of()) }} as rfm_recency_days,
            {{ 'coalesce(used.count_days, 0)' if is_connected('events')
                else days_between('contracts.first_contract_date', as_of()) }} as rfm_count,
            coalesce(contracts.amount_monthly, 0) as rfm_amount
        from contracts
        left join purchases on contracts.customer_id = purchases.customer_id
        left join (
            select
                customer_id,
                max(event_date) as last_date,
                count_if(event_date >= {{ days_before(as_of(), policy('rfm', 'frequency_days')) }}) as count_days
            from {{ ref('int_customer_event_days') }}
            where event_date < {{ as_of() }}
            group by customer_id
        ) as used on contracts.customer_id = used.customer_id
        where contracts.customer_id in (select customers.customer_id from customers)
    {%- else %}
        select
            customer_id,
            recency_days as rfm_recency_days,
            count_orders_scored as rfm_count,
            amount_spent_total as rfm_amount
        from purchases
    {%- endif %}

),

-- the cut points that divide those customers into quintiles
cut_points as (

    select
        {{ quintile_cut_points('recency', '-rfm_recency_days') }},
        {{ quintile_cut_points('frequency', 'rfm_count') }},
        {{ quintile_cut_points('monetary', 'rfm_amount') }}
    from rated

),

scored as (

    select
        rated.customer_id,
        {{ quintile('recency', '-rated.rfm_recency_days') }} as rfm_recency,
        {{ quintile('frequency', 'rated.rfm_count') }} as rfm_frequency,
        {{ quintile('monetary', 'rated.rfm_amount') }} as rfm_monetary
    from rated
    cross join cut_points

),

-- what the buyer in the middle does in a year
typical as (

    select
        median(count_orders_year) filter (where count_orders_year > 0) as typical_orders,
        median(amount_spent_year / count_orders_year) filter (where count_orders_year > 0) as typical_basket
    from purchases

),

compared as (

    select
        purchases.*,
        percent_rank() over (order by purchases.amount_spent_total / purchases.count_orders_total) as basket_rank,
        purchases.count_orders_year / nullif(typical.typical_orders, 0) as orders_to_typical,
        purchases.amount_spent_year / nullif(purchases.count_orders_year, 0)
        / nullif(typical.typical_basket, 0) as basket_to_typical
    from purchases
    cross join typical

),

measured as (

    select
        customers.customer_id,
        customers.kind,
        customers.level,
        customers.city,
        customers.region,
        customers.age_band,
        customers.income_band,
        customers.household,
        customers.acquisition_channel,
        customers.preference,
        customers.owner,
        customers.known_date,
        purchases.first_order_date,
        purchases.last_order_date,
        cast(purchases.recency_days as bigint) as recency_days,
        cast({{ days_between('customers.known_date', as_of()) }} as bigint) as tenure_days,
        coalesce(purchases.recency_days <= {{ policy('rfm', 'recent_days') }}, false) as has_bought_recently,
        coalesce(purchases.recency_days <= {{ policy('rfm', 'window_days') }}, false) as has_bought_in_window,
        coalesce(purchases.count_orders_quarter, 0) as count_orders_quarter,
        coalesce(purchases.count_orders_year, 0) as count_orders_year,
        coalesce(purchases.count_orders_total, 0) as count_orders_total,
        coalesce(purchases.amount_spent_quarter, 0) as amount_spent_quarter,
        coalesce(purchases.amount_spent_quarter_before, 0) as amount_spent_quarter_before,
        purchases.orders_to_typical,
        purchases.basket_to_typical,
        coalesce(purchases.amount_spent_year, 0) as amount_spent_year,
        coalesce(purchases.amount_spent_total, 0) as amount_spent_total,
        coalesce(purchases.amount_discount_year, 0) as amount_discount_year,
        cast(coalesce(contracts.count_subscriptions, 0) as bigint) as count_subscriptions,
        coalesce(contracts.amount_monthly, 0) as amount_monthly,
        contracts.last_amount_monthly,
        contracts.first_contract_date,
        contracts.last_contract_date,
        coalesce(tickets.count_tickets_half_year, 0) as count_tickets_half_year,
        coalesce(tickets.count_complaints_half_year, 0) as count_complaints_half_year,
        tickets.mean_satisfaction_half_year,
        texts.count_texts_half_year,
        texts.count_negative_texts_half_year,
        texts.negative_about,
        permissions.allowed_channels as consented_channels,
        {{- signal_columns('signals') }}
        {{ days_observed(days_between('customers.known_date', as_of()), as_of()) }} as observed_days,
        cast(coalesce(scored.rfm_recency, 1) as bigint) as rfm_recency,
        cast(coalesce(scored.rfm_frequency, 1) as bigint) as rfm_frequency,
        cast(coalesce(scored.rfm_monetary, 1) as bigint) as rfm_monetary,
        coalesce(purchases.basket_rank, 0) as basket_rank,
        coalesce(customers.acquisition_cost, {{ policy('clv', 'default_acquisition_cost') }}) as acquisition_cost
    from customers
    left join compared as purchases on customers.customer_id = purchases.customer_id
    left join scored on customers.customer_id = scored.customer_id
    left join tickets on customers.customer_id = tickets.customer_id
    left join texts on customers.customer_id = texts.customer_id
    left join contracts on customers.customer_id = contracts.customer_id
    left join signals on customers.customer_id = signals.customer_id
    left join permissions on customers.customer_id = permissions.customer_id

),

staged as (

    select
        *,
        {{ lifecycle_stage() }} as lifecycle_stage,
        {{ 'first_contract_date is null' if policy('clv', 'orders_are_bills') else 'true' }} as is_order_revenue
    from measured

),

-- the pace that a newcomer is drawn to, of those with a history
pace as (

    select {{ modest_pace('amount_spent_year') }} as modest_yearly_orders
    from staged
    where
        lifecycle_stage in ('new', 'active')
        and is_order_revenue
        and amount_spent_year > 0
        and observed_days > {{ policy('lifecycle', 'new_days') }}

),

lasting as (

    select
        max(years_expected) filter (where not is_returned) as staying_years,
        max(years_expected) filter (where is_returned) as returned_years
    from {{ ref('lifetimes') }}
    where as_of = cast(date_trunc('month', {{ as_of() }}) as date)

),

-- of who stays the present year, of who comes back the year before they left
paced as (

    select
        staged.*,
        staged.lifecycle_stage in ('new', 'active') as is_customer,
        case
            when not staged.is_order_revenue or staged.first_order_date is null then 0
            when staged.lifecycle_stage in ('new', 'active')
                then {{ yearly_orders('staged.amount_spent_year', 'staged.observed_days', 'pace.modest_yearly_orders') }}
            else {{ yearly_rate('staged.amount_spent_year', 'staged.observed_days', policy('clv', 'prior_days')) }}
        end as yearly_purchases,
        case
            when not staged.is_order_revenue or staged.first_order_date is null then 0
            else {{ yearly_rate('staged.amount_spent_total', days_ordering('staged'), 1) }}
        end as yearly_purchases_formerly,
        12 * cast(staged.amount_monthly as double) as yearly_contracts,
        case when staged.lifecycle_stage in ('new', 'active') then lasting.staying_years else lasting.returned_years end
            as years_expected
    from staged
    cross join pace
    cross join lasting

),

yearly as (

    select
        *,
        case
            when first_order_date is null and first_contract_date is null then null
            when is_customer then yearly_purchases + yearly_contracts
            else yearly_purchases_formerly + 12 * coalesce(cast(last_amount_monthly as double), 0)
        end as yearly_revenue_expected
    from paced

),

priced as (

    select
        *,
        ({{ yearly_margin('yearly_revenue_expected', 'count_tickets_half_year') }}) * years_expected as value_from_now,
        {{ rfm_score() }} as rfm_score
    from yearly

),

-- from which value on a tier begins
tiers as (

    select
        {{ tier_cut_points() }}
    from priced

),

placed as (

    select
        priced.*,
        tiers.*
    from priced
    cross join tiers

),

graded as (

    select
        customer_id,
        kind,
        level,
        city,
        region,
        age_band,
        income_band,
        household,
        acquisition_channel,
        preference,
        owner,
        known_date,
        first_order_date,
        last_order_date,
        recency_days,
        tenure_days,
        has_bought_recently,
        has_bought_in_window,
        count_orders_quarter,
        count_orders_year,
        count_orders_total,
        cast(amount_spent_quarter as double) as amount_spent_quarter,
        cast(amount_spent_quarter_before as double) as amount_spent_quarter_before,
        cast(amount_spent_year as double) as amount_spent_year,
        cast(amount_spent_total as double) as amount_spent_total,
        cast(amount_discount_year as double) as amount_discount_year,
        cast(amount_discount_year / nullif(amount_spent_year + amount_discount_year, 0) as double)
            as share_discount_year,
        count_subscriptions,
        cast(amount_monthly as double) as amount_monthly,
        rfm_recency,
        rfm_frequency,
        rfm_monetary,
        basket_rank,
        rfm_score,
        {{ rfm_grade() }} as rfm_grade,
        cast({{ 'count_tickets_half_year' if is_connected('tickets') else 'null' }} as bigint) as count_tickets_half_year,
        cast({{ 'count_complaints_half_year' if is_connected('tickets') else 'null' }} as bigint) as count_complaints_half_year,
        cast(mean_satisfaction_half_year as double) as mean_satisfaction_half_year,
        count_texts_half_year,
        count_negative_texts_half_year,
        cast(count_negative_texts_half_year as double) / count_texts_half_year as share_negative_texts_half_year,
        negative_about,
        {{- signal_columns() }}
        {{ word_of_mouth() }} as word_of_mouth,
        cast(
            count_referred_year * {{ policy('clv', 'default_acquisition_cost') }} as double
        ) as amount_saved_by_referrals,
        consented_channels,
        cast(yearly_revenue_expected as double) as yearly_revenue_expected,
        cast(years_expected as double) as years_expected,
        cast(value_from_now as double) as value_from_now,
        cast(acquisition_cost as double) as acquisition_cost,
        case when value_from_now > acquisition_cost then 'serve_first' else 'cut_service_cost' end as clv_verdict,
        lifecycle_stage,
        {{ lifecycle_phase() }} as lifecycle_phase,
        {{ value_tier() }} as value_tier,
        {{ value_trend() }} as value_trend,
        cast(orders_to_typical as double) as orders_to_typical,
        cast(basket_to_typical as double) as basket_to_typical,
        {{ value_driver() }} as value_driver
    from placed

),

tagged as (

    select
        {{ as_of() }} as as_of,
        *,
        {{ tags() }} as tags
    from graded

)

select * from tagged
