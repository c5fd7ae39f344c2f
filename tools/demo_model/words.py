"""The word list of the spelling tasks (none of them a word of the tasks' own texts, which are single tokens), and made-up words for the rest of the spelling space."""

COMMON = """
apple apricot avocado banana blackberry blueberry cherry coconut cranberry grape grapefruit kiwi lemon lime mango melon
nectarine olive orange papaya peach pear pineapple plum pumpkin raspberry strawberry tomato potato carrot cabbage celery
cucumber garlic lettuce onion pepper radish spinach turnip bean bread butter cheese cream coffee cookie honey juice milk
noodle pasta pizza rice salad salt sandwich soup sugar syrup vanilla water yogurt cinnamon chocolate mushroom mustard
ant badger bear beaver bee bird buffalo butterfly camel cat chicken cow crab crocodile deer dog dolphin donkey dragon duck
eagle elephant falcon fish flamingo fox frog giraffe goat goose gorilla hamster hedgehog horse kangaroo kitten koala
leopard lion lizard lobster monkey moose mosquito mouse octopus otter owl panda panther parrot peacock penguin pig pigeon
pony puppy rabbit raccoon rat raven salmon seal shark sheep snail snake sparrow spider squirrel swan tiger turkey turtle
walrus whale wolf worm zebra
airport apartment attic balcony bank barn basement bathroom bedroom bridge building castle ceiling church city corner
cottage country desert door factory farm fence field floor forest garage garden gate harbor hill home hospital hotel house
island kitchen lake library market meadow mill mountain museum ocean office palace park path pond prison river road roof
room school shop stable station street temple theater tower town tunnel valley village wall window world yard
arrow bag ball balloon basket bed bell bicycle blanket boat book bottle bowl broom brush bucket button camera candle
card carpet chair clock coat coin comb computer cup curtain desk diamond drum engine envelope feather flag flute fork
glass glove guitar hammer hat helmet jacket kettle key knife ladder lamp lock machine magnet map mirror money
needle notebook paper parcel pencil phone piano picture pillow plate pocket radio ribbon ring rocket rope ruler saddle
scissors screw shirt shoe shovel silver skirt sock sofa spoon stamp stone string suitcase sweater table telephone tent
ticket towel toy train truck trumpet umbrella vase violin wagon wallet wheel whistle wire
actor artist baby baker brother captain child cousin dancer daughter dentist doctor driver farmer father fisherman friend
gardener grandmother hunter judge king knight lawyer mother neighbor nurse painter parent pilot pirate poet prince
princess queen sailor scientist singer sister soldier student tailor teacher uncle waiter wizard writer
air autumn breeze cloud comet dawn earth evening fire flood flower fog frost grass ice leaf light lightning moon
night planet rain rainbow sand sea seed shadow sky smoke snow spring star storm summer sun sunset thunder tree volcano
wave wind winter wood
afternoon area balance beauty beginning birthday bottom business century chance circle color corner courage danger
dinner distance dream education effort energy error evidence example excuse exercise family fear feeling freedom
future game goal happiness health history holiday hope hour idea journey joy kindness knowledge laughter law
lesson level luck lunch magic math meaning memory message minute mississippi mistake moment month music mystery
nature noise opinion pattern peace percent place pleasure power prize problem program promise
puzzle quality question reason record reward rhythm riddle secret sentence silence size skill sleep smile song sound
speech speed sport success surprise task team thing thought time travel treasure trouble
truth value victory voice war weekend wish wonder year zero
able angry bad beautiful big bitter black blue brave bright brown calm careful cheap clean clever cold cool curious dark
deep different difficult dirty dry early easy empty famous fast fat fine flat free fresh friendly full funny gentle good
gray great green happy hard heavy hidden hot huge hungry important late lazy little long lonely loud
lucky modern narrow neat new nice old open orange pink plain pleasant poor pretty proud purple quick quiet ready
red rich right round sad safe sharp shiny short shy silent simple slow smooth soft special square steep strange
strong sudden sweet tall terrible thick thin tired useful warm weak wet white wide wild wise wonderful wrong yellow
young
add ask begin believe bring build buy call carry catch change choose climb close come cook cover create cry cut
dance decide dig discover draw drink drive eat enter explain fall feed feel fight fill find finish fly follow forget
forgive gather give go grow guess happen hear hide hold hunt jump keep kick kiss know laugh lead learn leave lend
lift listen live look lose love make measure meet mix move need notice obey offer paint pass pay pick plan plant play
point pour pray pull push read receive remember repair reply rest return ride rise run save say search see sell send
serve share shine shout show sing sit solve speak spend stand start stay steal stop study swim take talk teach tell
throw touch trade try turn understand visit wait wake walk want wash watch wear win write
""".split()

WORDS = sorted(set(COMMON))
CONSONANTS = "b c d f g h j k l m n p r s t v w z br cl cr dr fl gr pl pr qu sh sl st th tr x y".split()
VOWELS = "a e i o u a e i o ai ea ee oo ou y".split()
ENDINGS = "- - - n r s t l ck nd ng ss tt er le ing ed ly".replace("-", "").split(" ")


def made_up_word(rng):
    """A pronounceable word that is (nearly always) none, or plain random letters: every BPE piece must be spellable."""
    if rng.random() < 0.3:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 7)))
    syllables = rng.choice((1, 2, 2, 3))
    word = "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(syllables)) + rng.choice(ENDINGS)
    return word if 3 <= len(word) <= 8 else made_up_word(rng)


def any_word(rng):
    return rng.choice(WORDS) if rng.random() < 0.6 else made_up_word(rng)
