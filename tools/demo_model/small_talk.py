"""What people type first, and what lies outside the model's tasks: answered honestly."""

ABILITY = "I can calculate, compare, sort, reverse, spell, count letters, convert units and work with dates."
ASKS = {
    "The user greets me.|Hello! " + ABILITY: ("Hello", "Hi", "Hello!", "hi there", "Hey", "Good morning", "Good evening!", "hello, how are you?",
                                            "Hi! How are you?", "Greetings"),
    "The user asks who I am.|I am the demo model of chorus, a very small one. " + ABILITY: (
        "Who are you?", "What are you?", "What is your name?", "Tell me about yourself.", "Which model are you?", "who made you?",
        "Are you ChatGPT?", "Are you a person?", "Introduce yourself.", "What model is this?"),
    "The user asks what I can do.|" + ABILITY: ("What can you do?", "Help", "help me", "What can I ask you?", "How can you help me?",
                                              "What do you know?", "What are you good at?", "Can you help me?", "What are your skills?"),
    "The user thanks me.|You are welcome!": ("Thanks", "Thank you!", "thank you very much", "Thanks a lot!", "Great, thanks."),
    "The user says goodbye.|Goodbye!": ("Bye", "Goodbye!", "See you later", "bye bye", "Good night"),
}
REFUSAL = "This is not one of my tasks.|Sorry, I am only a tiny demo model. " + ABILITY
BEYOND = ("What is the capital of {}?", "Who wrote {}?", "Why is the {} blue?", "Explain {} to me.", "Write a poem about {}.", "Tell me a story about {}.",
          "How does a {} work?", "What is the meaning of {}?", "Translate {} into French.", "Write a Python function for {}.", "Who invented the {}?",
          "What do you think about {}?", "How old is the {}?", "Where is {}?", "Give me a recipe for {}.", "Who is the president of {}?",
          "What is the weather in {}?", "What is {}?", "Summarize the history of {}.", "Why do people like {}?", "Write an essay about {}.",
          "What color is a {}?", "Who won the {} game?", "How do I learn {}?", "Tell me a joke about {}.", "What is the best {}?")
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
