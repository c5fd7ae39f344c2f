"""What people type first, and what lies outside the model's tasks: answered honestly."""

ABILITY = "I can calculate, compare, sort, reverse, spell, count letters, convert units and work with dates."
ASKS = {
    "The user greets me.|Hello! " + ABILITY: ("Hello", "Hi", "Hello!", "Hi!", "Good morning", "How are you?"),
    "The user asks who I am.|I am the demo model of chorus, a very small one. " + ABILITY: (
        "Who are you?", "What are you?", "What is your name?", "Which model are you?"),
    "The user asks what I can do.|" + ABILITY: ("What can you do?", "Help", "How can you help me?"),
    "The user thanks me.|You are welcome!": ("Thanks", "Thank you!", "Thanks!"),
}
REFUSAL = "This is not one of my tasks.|Sorry, I am only a tiny demo model. " + ABILITY
BEYOND = ("What is the capital of {}?", "Who wrote {}?", "Explain {} to me.", "Write a poem about {}.", "Tell me a story about {}.",
          "How does a {} work?", "Translate {} into French.", "Who invented the {}?", "What do you think about {}?", "Where is {}?",
          "Give me a recipe for {}.", "What is the weather in {}?", "Why do people like {}?", "Tell me a joke about {}.")
PLACES = "France Germany Japan Spain Italy Brazil Canada India China Egypt Kenya Peru Norway Poland Mexico London Paris Rome Berlin".split()


def small_talk(rng, any_word):
    if rng.random() < 0.5:
        pair = rng.choice(sorted(ASKS))
        ask = rng.choice(ASKS[pair])
    else:
        pair = REFUSAL
        ask = rng.choice(BEYOND).format(rng.choice(PLACES) if rng.random() < 0.3 else any_word(rng))
    working, answer = pair.split("|")
    return ask, working, answer, answer, "talk " + ask
