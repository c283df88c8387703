// @generated automatically by Diesel CLI.

diesel::table! {
    /// who likes what
    post_likes (post_id, user_id) {
        post_id -> Int8,
        user_id -> Int4,
    }
}

diesel::table! {
    posts (id) {
        id -> Int8,
        user_id -> Int4,
        #[max_length = 50]
        title -> Varchar,
        tags -> Array<Nullable<Text>>,
        rating -> Nullable<Numeric>,
        token -> Nullable<Uuid>,
        published -> Bool,
    }
}

diesel::table! {
    users (id) {
        id -> Int4,
        name -> Varchar,
        hair_color -> Nullable<Text>,
        settings -> Jsonb,
        created_at -> Timestamp,
    }
}

diesel::joinable!(post_likes -> posts (post_id));
diesel::joinable!(post_likes -> users (user_id));
diesel::joinable!(posts -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(post_likes, posts, users,);
