with

customers as (

    select * from {{ ref('stg_customers') }}

),

companies as (

    select customer_id
    from customers
    where lower(kind) = 'company'

),

-- whatever a contact person does counts for the company, and the person is no customer
contacts as (

    select
        customers.customer_id,
        companies.customer_id as account_id
    from customers
    inner join companies on customers.parent_customer_id = companies.customer_id
    where
        lower(coalesce(customers.kind, 'person')) <> 'company'
        and customers.customer_id <> companies.customer_id

)

select * from contacts
