with

-- of customers who are there and bring something, what their value from now is the product of, and the cost of serving
factored as (

    select
        customer_id,
        value_from_now,
        yearly_revenue_expected,
        years_expected,
        cast(amount_spent_year + amount_discount_year as double) / nullif(count_orders_year, 0) as list_basket,
        1 - coalesce(share_discount_year, 0) as price_share,
        {{ policy('clv', 'gross_margin') }} * yearly_revenue_expected * years_expected as gross,
        count_subscriptions > 0 or count_orders_year = 0 as is_by_fee
    from {{ ref('customers') }}
    where
        lifecycle_stage in ('new', 'active')
        and yearly_revenue_expected > 0
        and years_expected > 0

),

owned as (

    select
        *,
        case when is_by_fee then yearly_revenue_expected else 1 end as fee,
        case when is_by_fee then 1 else yearly_revenue_expected / (list_basket * price_share) end as frequency,
        case when is_by_fee then 1 else list_basket end as basket,
        case when is_by_fee then 1 else price_share end as discount,
        years_expected as tenure,
        gross - value_from_now as cost_to_serve
    from factored
    where is_by_fee or list_basket * price_share > 0

),

-- the customer in the middle of those whose value comes the same way
typical as (

    select
        {%- for name in ('fee', 'frequency', 'basket', 'discount', 'tenure', 'cost_to_serve') %}
            median({{ name }}) as {{ name }},
        {%- endfor %}
        is_by_fee
    from owned
    group by is_by_fee

),

compared as (

    select
        owned.*,
        {%- for name in ('fee', 'frequency', 'basket', 'discount', 'tenure', 'cost_to_serve') %}
            typical.{{ name }} as typical_{{ name }},
        {%- endfor %}
        {{ policy('clv', 'gross_margin') }} * typical.fee * typical.frequency * typical.basket * typical.discount
        * typical.tenure as typical_gross
    from owned
    inner join typical on owned.is_by_fee = typical.is_by_fee

),

-- a difference of products in additive parts, without a rest (logarithmic mean Divisia index; Ang, Energy Policy 2004)
weighed as (

    select
        *,
        case
            when abs(ln(gross / typical_gross)) < 0.000000001 then gross
            else (gross - typical_gross) / ln(gross / typical_gross)
        end as weight
    from compared

),

drivers as (

    {%- for name in ('fee', 'frequency', 'basket', 'discount', 'tenure') %}
        select
            customer_id,
            '{{ name }}' as driver,
            {{ name }} as own_figure,
            typical_{{ name }} as typical_figure,
            weight * ln({{ name }} / typical_{{ name }}) as contribution
        from weighed
        {%- if name != 'tenure' %}
            where {{ 'is_by_fee' if name == 'fee' else 'not is_by_fee' }}
        {%- endif %}
        union all
    {%- endfor %}
    select
        customer_id,
        'cost_to_serve' as driver,
        cost_to_serve as own_figure,
        typical_cost_to_serve as typical_figure,
        typical_cost_to_serve - cost_to_serve as contribution
    from weighed

),

ranked as (

    select
        {{ as_of() }} as as_of,
        customer_id,
        driver,
        cast(own_figure as double) as own_figure,
        cast(typical_figure as double) as typical_figure,
        cast(contribution as double) as contribution,
        cast(
            row_number() over (partition by customer_id order by abs(contribution) desc, driver asc) as bigint
        ) as driver_rank
    from drivers

)

select * from ranked
