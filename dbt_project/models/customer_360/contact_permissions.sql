with

customers as (

    select
        {{ as_of() }} as as_of,
        customer_id
    from {{ ref('int_customers_dated') }}
    where known_date is null or known_date < {{ as_of() }}

),

-- what a contact person of a company agreed to counts for the company
consents as (

    select
        coalesce(contacts.account_id, stg_consents.customer_id) as customer_id,
        lower(stg_consents.purpose) as purpose,
        lower(coalesce(stg_consents.channel, 'all')) as channel,
        stg_consents.is_granted,
        stg_consents.changed_at
    from {{ ref('stg_consents') }} as stg_consents
    left join {{ ref('int_contacts') }} as contacts on stg_consents.customer_id = contacts.customer_id
    where stg_consents.changed_date < {{ as_of() }}

),

-- of two answers of one moment the one that withdraws counts
latest as (

    select *
    from consents
    qualify
        row_number() over (
            partition by customer_id, purpose, channel order by changed_at desc, is_granted asc
        ) = 1

),

answers as (

    select
        customer_id,
        {{ latest_consents() }}
    from latest
    group by customer_id

),

permitted as (

    select
        customers.as_of,
        customers.customer_id,
        {{ open_channels('marketing') }} as allowed_channels,
        {{ open_channels('service') }} as service_channels
    from customers
    left join answers on customers.customer_id = answers.customer_id

)

select * from permitted
